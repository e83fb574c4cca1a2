"""AMD: each fact of the vendor's documents that a selection rests on."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.amd import ROCM

from .hosts import AMD, MIRROR, SYSTEMS, choose, facts

MI210, MI300X, MI350X = AMD.values()
MI100 = "1002:738c"


def repository(result, name):
    return next(row for row in result["repositories"] if row["name"] == name)


@pytest.mark.parametrize(("card", "chip"), [(MI210, "gfx90a"), (MI300X, "gfx942"), (MI350X, "gfx950")])
def test_chips_of_the_instinct_cards(card, chip):
    result = choose(facts("ubuntu24", card, card))
    assert result["install"][-2:] == ["amdgpu-dkms", f"amdrocm7.14-{chip}"]


def test_without_a_known_chip_the_packages_are_for_all():
    assert choose(facts("ubuntu24", MI210, MI100))["install"][-1] == "amdrocm7.14"
    assert "amd-older" in [row["fact"] for row in choose(facts("ubuntu24", MI100))["unverified"]]


def test_the_full_profile_builds_programs():
    assert "amdrocm-core-sdk7.14" in choose(facts("debian12", MI300X), profile="full")["install"]


@pytest.mark.parametrize(("system", "suite"), [("ubuntu22", "jammy"), ("ubuntu24", "noble"), ("debian12", "jammy")])
def test_suites_of_amdgpu_and_that_debian_12_uses_jammy(system, suite):
    row = repository(choose(facts(system, MI300X)), "amdgpu")
    assert (row["url"], row["suites"], row["components"]) == (
        "https://repo.radeon.com/amdgpu/31.40.1/ubuntu",
        [suite],
        ["main"],
    )
    assert row["key_url"] == "https://repo.radeon.com/rocm/rocm.gpg.key"
    assert row["key_fingerprint"] == "CA8BB4727A47B4D09B4EE8969386B48A1A693C5C"


def test_debian_13_has_no_amdgpu_package_and_uses_its_kernels_own():
    result = choose(facts("debian13", MI300X))
    assert (result["module"], result["signed_by"], result["headers"]) == ("none", "kernel", [])
    assert [row["name"] for row in result["repositories"]] == ["amdrocm"]
    assert "amd-debian13" in [row["fact"] for row in result["unverified"]]
    assert "names no package" in choose(facts("debian13", MI300X), module="dkms")["refused"]["reason"]


def test_the_kernels_own_module_needs_debians_firmware():
    result = choose(facts("debian13", MI300X))
    assert "firmware-amd-graphics" in result["install"]
    assert result["components"] == ["non-free-firmware"]
    # Not beside amdgpu-dkms, not in a container, and not elsewhere.
    for host in (
        facts("debian12", MI300X),
        facts("debian13", MI300X, system={"container": "docker"}),
        facts("ubuntu24", MI300X, system={"container": "docker"}),
    ):
        assert "firmware-amd-graphics" not in choose(host)["install"]


@pytest.mark.parametrize(("system", "folder"), [("rhel9", "9.6"), ("rocky9", "9.6"), ("rhel10", "10")])
def test_folders_of_amdgpu_for_rhel_have_the_minor_version_up_to_9(system, folder):
    row = repository(choose(facts(system, MI300X)), "amdgpu")
    assert row["url"] == f"https://repo.radeon.com/amdgpu/31.40.1/el/{folder}/main/x86_64/"


@pytest.mark.parametrize(
    ("system", "folder"),
    [
        *(("debian12", "debian12"), ("debian13", "debian13"), ("ubuntu22", "ubuntu2204"), ("ubuntu24", "ubuntu2404")),
        *(("rhel9", "rhel9/x86_64"), ("rocky9", "rhel9/x86_64"), ("rhel10", "rhel10/x86_64")),
    ],
)
def test_folders_of_the_new_tree(system, folder):
    row = repository(choose(facts(system, MI300X)), "amdrocm")
    base = "https://repo.amd.com/rocm/packages-multi-arch"
    assert (row["url"], row["key_url"]) == (f"{base}/{folder}", f"{base}/gpg/rocm.gpg")
    assert row["suites"] == ([] if row["kind"] == "yum" else ["stable"])
    assert (row["key_fingerprint"], row["verified"]) == (None, False)


def test_the_old_tree_goes_first():
    assert choose(facts("ubuntu24", MI300X))["remove"] == ["rocm", "rocm-core", "rocm-hip-runtime"]


def test_rocm_up_to_7_2_4_is_in_folders_by_version():
    result = choose(facts("ubuntu22", MI300X), rocm_version="7.0.1")
    assert repository(result, "rocm")["url"] == "https://repo.radeon.com/rocm/apt/7.0.1"
    assert repository(result, "rocm-graphics")["url"] == "https://repo.radeon.com/graphics/7.0.1/ubuntu"
    assert repository(result, "amdgpu")["url"] == "https://repo.radeon.com/amdgpu/30.10.1/ubuntu"
    assert result["install"][-1] == "rocm-hip-runtime"
    assert choose(facts("ubuntu22", MI300X), rocm_version="7.0.1", profile="full")["install"][-1] == "rocm"
    el = choose(facts("rhel9", MI300X), rocm_version="7.0.1")
    assert repository(el, "rocm")["url"] == "https://repo.radeon.com/rocm/el9/7.0.1/main"
    assert "7.14" in choose(facts("debian13", MI300X), rocm_version="7.0.1")["refused"]["remedy"]


@pytest.mark.parametrize("version", [version for version, driver in ROCM.items() if driver is None])
def test_a_rocm_whose_amdgpu_is_not_known(version):
    told = choose(facts("ubuntu24", MI300X), rocm_version=version)["refused"]
    assert "amdgpu_version" in told["remedy"]
    result = choose(facts("ubuntu24", MI300X), rocm_version=version, amdgpu_version="31.20")
    assert "/amdgpu/31.20/" in repository(result, "amdgpu")["url"]


def test_an_unknown_rocm_lists_the_known_ones():
    told = choose(facts("ubuntu24", MI300X), rocm_version="6.4")["refused"]
    assert all(version in told["remedy"] for version in ROCM)
    # A number of YAML is a version, too.
    assert choose(facts("ubuntu24", MI300X), rocm_version=7.14)["refused"] is None


def test_headers_of_the_kernel_and_ubuntus_extra_modules():
    kernel = SYSTEMS["ubuntu24"][2]
    result = choose(facts("ubuntu24", MI300X))
    assert result["install"][:2] == [f"linux-headers-{kernel}", f"linux-modules-extra-{kernel}"]
    assert choose(facts("debian12", MI300X))["headers"][0]["name"] == f"linux-headers-{SYSTEMS['debian12'][2]}"


def test_users_of_the_gpu_are_in_render_and_video():
    assert choose(facts("debian12", MI300X))["groups"] == ["render", "video"]


def test_the_distributions_rocm_must_not_shadow_amds():
    rows = choose(facts("ubuntu24", MI300X))["preferences"]
    assert {row["pin"] for row in rows} == {'origin "repo.amd.com"', 'origin "repo.radeon.com"'}
    assert {row["priority"] for row in rows} == {600}
    assert choose(facts("ubuntu24", MI300X), mirror_url="file:///srv/mirror")["preferences"][0]["pin"] == 'origin ""'


def test_every_url_is_below_the_mirror():
    for system in SYSTEMS:
        result = choose(facts(system, MI300X), source="mirror", mirror_url=MIRROR)
        for row in result["repositories"]:
            assert row["url"].startswith(MIRROR + "/")
            assert row["key_url"].startswith(MIRROR + "/")


def test_debians_own_tools_with_its_kernels_module():
    result = choose(facts("debian13", MI300X), source="distribution")
    assert result["install"] == ["firmware-amd-graphics", "rocminfo", "rocm-smi"]
    assert result["components"] == ["non-free-firmware"]
    assert result["repositories"] == []
    assert "no package of the amdgpu" in choose(facts("debian13", MI300X), source="distribution", module="dkms")[
        "refused"
    ]["reason"]  # fmt: skip
    assert "no ROCm packages" in choose(facts("rhel9", MI300X), source="distribution")["refused"]["reason"]


def test_arm_is_refused():
    assert "x86_64 only" in choose(facts("ubuntu24", MI300X, machine="aarch64"))["refused"]["reason"]


def test_a_container_gets_no_kernel_module():
    result = choose(facts("ubuntu24", MI300X, system={"container": "podman"}))
    assert (result["module"], result["signed_by"]) == ("none", None)
    assert result["install"] == ["amdrocm7.14-gfx942"]


def test_precompiled_modules_are_refused():
    assert "precompiled" in choose(facts("ubuntu24", MI300X), module="precompiled")["refused"]["reason"]


def test_a_card_that_is_no_accelerator_only_by_force():
    """A graphics card, or one of a type that the table does not know."""
    host = facts("ubuntu24", "1002:73df")
    assert "1002:73df" in choose(host)["nothing"]
    forced = choose(host, force_vendor="amd")
    assert (forced["install"][-1], forced["generations"]) == ("amdrocm7.14", [])
