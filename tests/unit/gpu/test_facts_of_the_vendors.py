"""One test for each fact of the vendors' documents and the distributions' indexes that a selection rests on."""

from __future__ import annotations

import pytest

from .hosts import MIRROR, choose, facts

H200, B200, GB200 = "10de:2335", "10de:2901", "10de:2941"


def names(result, *parts):
    assert result["refused"] is None, result["refused"]
    return [package["name"] for package in result["packages"] if package["part"] in parts]


CORE = ("kernel_module", "driver", "utilities")
CUDA = [
    # system, branch, flavour, profile, packages of the driver
    ("ubuntu24", 580, "open", "full", ["nvidia-dkms-580-open", "nvidia-open"]),
    ("ubuntu24", 580, "open", "compute", ["nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580"]),
    ("ubuntu24", 580, "proprietary", "full", ["nvidia-dkms-580", "cuda-drivers-580"]),
    ("ubuntu24", 590, "open", "compute", ["nvidia-dkms-open", "libnvidia-compute", "nvidia-utils"]),
    ("ubuntu24", 595, "open", "full", ["nvidia-dkms-open", "nvidia-open"]),
    ("debian12", 580, "open", "compute", ["nvidia-kernel-open-dkms", "nvidia-driver-cuda"]),
    ("debian13", 610, "open", "full", ["nvidia-kernel-open-dkms", "nvidia-open"]),
    ("debian12", 615, "proprietary", "compute", ["nvidia-kernel-dkms", "nvidia-driver-cuda"]),
    ("rhel9", 580, "open", "compute", ["kmod-nvidia-open-dkms", "nvidia-driver-cuda"]),
    ("rhel9", 580, "proprietary", "compute", ["kmod-nvidia-latest-dkms", "nvidia-driver-cuda"]),
    ("rhel9", 620, "open", "full", ["kmod-nvidia-open-dkms", "nvidia-open"]),
    ("rhel10", 580, "open", "compute", ["kmod-nvidia-open-dkms", "nvidia-driver-cuda"]),
]


@pytest.mark.parametrize(("system", "branch", "flavour", "profile", "wanted"), CUDA)
def test_packages_of_the_cuda_repository(system, branch, flavour, profile, wanted):
    result = choose(facts(system, "Ampere"), branch=branch, flavour=flavour, profile=profile)
    assert names(result, *CORE) == wanted


@pytest.mark.parametrize("system", ["debian12", "debian13", "ubuntu22", "ubuntu24"])
def test_a_pinning_package_of_a_branch_or_of_a_version_goes_in_first(system):
    host = facts(system, "Hopper")
    assert choose(host, branch=580)["install_first"] == ["nvidia-driver-pinning-580"]
    exact = choose(host, version="610.57.04")
    assert (exact["branch"], exact["install_first"]) == (610, ["nvidia-driver-pinning-610.57.04"])
    # A version on a metapackage does not pin what it depends on.
    assert "nvidia-kernel-open-dkms" in exact["install"] or "nvidia-dkms-open" in exact["install"]


@pytest.mark.parametrize(
    ("branch", "flavour", "stream"),
    [(580, "open", "580-open"), (610, "open", "610-open"), (580, "proprietary", "580-dkms")],
)
def test_streams_of_rhel_9(branch, flavour, stream):
    result = choose(facts("rocky9", "Ampere"), branch=branch, flavour=flavour)
    assert result["module_stream"] == {"name": "nvidia-driver", "stream": stream}


def test_the_precompiled_stream_of_rhel_9_has_no_word_after_the_branch_and_needs_no_epel():
    result = choose(facts("rhel9", "Ampere"), branch=580, flavour="proprietary", module="precompiled")
    assert result["module_stream"]["stream"] == "580"
    assert result["distribution_repositories"] == result["headers"] == []
    assert result["signed_by"] == "vendor"
    assert choose(facts("rhel9", "Ampere"), module="precompiled")["refused"]["reason"].startswith("It is not known")


def test_rhel_10_has_no_streams_and_locks_versions():
    result = choose(facts("rhel10", "Hopper"), branch=580)
    assert result["module_stream"] is None
    assert result["version_locks"] == ["*nvidia*580*"]
    assert result["install_first"] == ["python3-dnf-plugin-versionlock"]


def test_rhel_needs_epel_crb_and_the_headers_of_the_running_kernel():
    result = choose(facts("rhel9", "Hopper"))
    kernel = facts("rhel9")["system"]["kernel"]
    assert result["distribution_repositories"] == ["crb", "epel"]
    assert [row["name"] for row in result["headers"]] == [
        f"{kind}-{kernel}" for kind in ("kernel-devel", "kernel-headers", "kernel-devel-matched")
    ]


def cuda(system, machine="x86_64", **options):
    result = choose(facts(system, "Hopper", machine=machine), **options)
    assert result["refused"] is None
    return next(row for row in result["repositories"] if row["name"] == "nvidia-cuda")


def test_keys_of_the_cuda_repository_and_that_debian_13_has_its_own():
    old = "EB693B3035CD5710E231E123A4B469963BF863CC"
    assert {cuda(system)["key_fingerprint"] for system in ("debian12", "ubuntu22", "ubuntu24")} == {old}
    assert cuda("debian12")["key_url"].endswith("/debian12/x86_64/3bf863cc.pub")
    assert cuda("debian13")["key_fingerprint"] == "02182E60104FCDC26EAE1B8597A5D4CB8793F200"
    assert cuda("debian13")["key_url"].endswith("/debian13/x86_64/8793F200.pub")
    assert cuda("rhel9")["key_url"].endswith("/rhel9/x86_64/D42D0685.pub")
    assert cuda("rhel9")["key_fingerprint"] == "610C7B14E068A878070DA4E99CD0A493D42D0685"


def test_the_cuda_repository_is_flat_and_arm_servers_are_called_sbsa():
    row = cuda("ubuntu24", "aarch64")
    assert row["url"].endswith("/ubuntu2404/sbsa/")
    assert (row["suites"], row["components"], row["architectures"]) == (["/"], [], ["arm64"])


def test_debian_13_for_arm_had_no_folder_once():
    row = cuda("debian13", "aarch64")
    assert row["url"].endswith("/debian13/sbsa/")
    assert row["verified"] is False
    assert cuda("debian13")["verified"] is True


def test_an_earlier_cuda_keyring_goes():
    result = choose(facts("ubuntu22", "Hopper"))
    assert "cuda-keyring" in result["remove"]
    assert result["remove_files"] == ["/etc/apt/sources.list.d/cuda-ubuntu2204-x86_64.list"]


def test_the_vendors_packages_need_debians_contrib():
    assert choose(facts("debian12", "Hopper"))["components"] == ["contrib"]


def test_debians_own_packages_of_its_index():
    kernels = {"debian12": 535, "debian13": 550}
    for system, branch in kernels.items():
        host = facts(system, "Ampere")
        closed = choose(host, source="distribution", flavour="proprietary")
        assert closed["branch"] == branch
        assert names(closed, *CORE, "persistence") == [
            *("nvidia-kernel-dkms", "libcuda1", "nvidia-smi", "nvidia-persistenced"),
        ]
        opened = choose(host, source="distribution", flavour="open", profile="full")
        assert names(opened, *CORE) == ["nvidia-open-kernel-dkms", "nvidia-driver", "nvidia-smi"]
        # Firmware that the open modules need.
        assert "non-free-firmware" in opened["components"]


def test_the_persistence_daemon_of_debian_has_a_version_of_its_own():
    """Debian 12 has 535.171 beside a driver of 535.309: it must not count as a mismatch."""
    have = {"nvidia-kernel-dkms": "535.309.01-0+deb12u1", "libcuda1": "535.309.01-0+deb12u1"}
    have |= {"nvidia-smi": "535.309.01-0+deb12u1", "nvidia-persistenced": "535.171.04-1~deb12u1"}
    have["linux-headers-6.1.0-40-amd64"] = "6.1.192-2"
    result = choose(facts("debian12", "Ampere"), source="distribution", available=have)
    assert result["refused"] is None
    assert result["version"] == "535.309.01"


def test_open_modules_of_debian_12_may_lag_behind_its_user_space():
    """Its security updates brought 535.309 to all but the open modules, which stayed at 535.261."""
    have = {"nvidia-open-kernel-dkms": "535.261.03-1", "libcuda1": "535.309.01-0+deb12u1"}
    have |= {"nvidia-smi": "535.309.01-0+deb12u1", "nvidia-persistenced": "535.171.04-1~deb12u1"}
    have["linux-headers-6.1.0-40-amd64"] = "6.1.192-2"
    refused = choose(facts("debian12", "Ampere"), source="distribution", flavour="open", available=have)["refused"]
    assert "nvidia-open-kernel-dkms 535.261.03" in refused["reason"]
    assert "libcuda1 535.309.01" in refused["reason"]
    have["nvidia-open-kernel-dkms"] = "535.309.01-1"
    assert choose(facts("debian12", "Ampere"), source="distribution", flavour="open", available=have)["refused"] is None


def test_an_older_version_of_debians_driver_is_pinned_as_a_whole():
    """So that the open modules of Debian 12 get the user space of their version, which its first index still has."""
    result = choose(facts("debian12", "Ampere"), source="distribution", flavour="open", version="535.261.03")
    assert result["preferences"] == [
        {"package": "*nvidia* libcuda1 libnv*", "pin": "version 535.261.03-*", "priority": 1001}
    ]
    assert result["branch"] == 535


def test_recommended_packages_are_left_out():
    """Debian's libcuda1 and nvidia-smi recommend the proprietary module, also beside the open one."""
    assert choose(facts("debian12", "Ampere"), source="distribution", flavour="open")["install_recommends"] is False


@pytest.mark.parametrize(("system", "branch"), [("debian12", 470), ("debian13", 535)])
def test_debians_other_branch_is_proprietary_and_called_after_it(system, branch):
    host = facts(system, "Ampere")
    assert "proprietary kernel modules only" in choose(facts("debian13", "Ampere"), source="distribution", branch=535,
                                                       flavour="open")["refused"]["reason"]  # fmt: skip
    assert names(choose(host, source="distribution", branch=branch), *CORE, "persistence") == [
        f"nvidia-tesla-{branch}-kernel-dkms",
        f"libnvidia-tesla-{branch}-cuda1",
        f"nvidia-tesla-{branch}-smi",
        f"libnvidia-tesla-{branch}-cfg1",
        "nvidia-persistenced",
    ]


@pytest.mark.parametrize("system", ["debian12", "debian13"])
def test_debians_own_branch_is_too_old_for_blackwell(system):
    refused = choose(facts(system, "Blackwell"), source="distribution")["refused"]
    assert "does not know GPUs of Blackwell, which need 570" in refused["reason"]
    assert "source to vendor or mirror" in refused["remedy"]


def test_debian_has_no_fabric_manager_nscq_or_dcgm():
    host = facts("debian13", "10de:2330", switches=4)
    refused = choose(host, source="distribution")["refused"]
    assert "fabric_manager, nscq" in refused["reason"]
    assert (
        "dcgm" in choose(facts("debian13", "Hopper"), source="distribution", parts={"dcgm": True})["refused"]["reason"]
    )
    off = {"fabric_manager": False, "nscq": False}
    assert choose(host, source="distribution", parts=off)["refused"] is None


def test_ubuntus_modules_are_precompiled_for_each_kernel_and_signed_by_canonical():
    host, kernel = facts("ubuntu24", "Hopper"), facts("ubuntu24")["system"]["kernel"]
    result = choose(host, source="distribution")
    assert names(result, *CORE) == [
        f"linux-modules-nvidia-580-server-open-{kernel}",
        f"linux-signatures-nvidia-{kernel}",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    ]
    assert (result["module"], result["signed_by"], result["headers"]) == ("precompiled", "distribution", [])
    two = choose(host, source="distribution", kernel_releases=["1-generic", "2-generic"])
    assert len(names(two, "kernel_module")) == 4


def test_signatures_are_of_amd64_only():
    result = choose(facts("ubuntu24", "Hopper", machine="aarch64"), source="distribution")
    assert not [name for name in result["install"] if "signatures" in name]


def test_dkms_of_ubuntu():
    result = choose(facts("ubuntu24", "Hopper"), source="distribution", module="dkms")
    assert names(result, "kernel_module") == ["nvidia-dkms-580-server-open"]
    assert result["signed_by"] == "host"


def test_580_is_in_restricted_and_later_user_space_in_multiverse():
    host = facts("ubuntu24", "Hopper")
    assert choose(host, source="distribution", branch=580)["components"] == ["restricted"]
    assert choose(host, source="distribution", branch=595)["components"] == ["restricted", "multiverse"]


@pytest.mark.parametrize(("branch", "becomes"), [(590, 595), (610, 615)])
def test_ubuntus_old_branches_bring_another_one(branch, becomes):
    refused = choose(facts("ubuntu24", "Hopper"), source="distribution", branch=branch)["refused"]
    assert f"bring branch {becomes}" in refused["reason"]


FABRIC = ("fabric_manager", "nscq", "imex")
PARTS = dict.fromkeys((*FABRIC, "nvsdm"), True)


@pytest.mark.parametrize(
    ("system", "branch", "wanted"),
    [
        ("debian12", 580, ["nvidia-fabricmanager", "libnvidia-nscq", "libnvsdm", "nvidia-imex"]),
        ("ubuntu24", 610, ["nvidia-fabricmanager", "libnvidia-nscq", "libnvsdm", "nvidia-imex"]),
        ("debian12", 575, ["nvidia-fabricmanager-575", "libnvidia-nscq-575", "libnvsdm-575", "nvidia-imex-575"]),
        ("rhel9", 580, ["nvidia-fabricmanager", "libnvidia-nscq", "libnvsdm", "nvidia-imex"]),
        ("rhel9", 570, ["nvidia-fabric-manager", "libnvidia-nscq-570", "libnvsdm-570", "nvidia-imex-570"]),
    ],
)
def test_names_of_the_fabrics_parts_change_at_580(system, branch, wanted):
    result = choose(facts(system, H200), branch=branch, parts=PARTS)
    assert names(result, *PARTS) == wanted


@pytest.mark.parametrize(
    ("system", "branch", "part"),
    [("debian12", 550, "nvsdm"), ("debian12", 535, "imex"), ("rhel9", 560, "imex"), ("debian12", 560, "nvlink5")],
)
def test_parts_that_a_branch_does_not_have_yet(system, branch, part):
    refused = choose(facts(system, H200), branch=branch, parts={part: True})["refused"]
    assert f"no packages of {part}" in refused["reason"]


def test_nvsdm_is_of_amd64_only():
    refused = choose(facts("ubuntu24", GB200, machine="aarch64"), parts={"nvsdm": True})["refused"]
    assert "x86_64 only" in refused["reason"]


def test_parts_are_of_the_drivers_exact_version():
    parts = {"fabric_manager": True}
    deb = choose(facts("debian12", H200), version="580.178.04", parts=parts)
    assert "nvidia-fabricmanager=580.178.04*" in deb["install"]
    rpm = choose(facts("rhel9", H200), version="580.178.04", parts=parts)
    assert "nvidia-fabricmanager-580.178.04" in rpm["install"]
    old = choose(facts("rhel9", H200), version="570.86.15", parts=parts)
    assert "nvidia-fabric-manager-570.86.15" in old["install"]
    assert {"nvidia-fabricmanager", "nvidia-kernel-open-dkms"} <= set(deb["hold"])


def test_fabric_manager_and_nscq_where_there_are_nvswitches():
    assert names(choose(facts("debian12", H200, switches=4)), *FABRIC) == ["nvidia-fabricmanager", "libnvidia-nscq"]
    assert names(choose(facts("debian12", H200)), *FABRIC) == []
    unknown = facts("debian12", H200, fabric={"nvswitches": None})
    assert "NVSwitches" in choose(unknown)["notes"][0]


def test_nvlink5_of_b200_and_imex_of_gb200():
    result = choose(facts("ubuntu24", B200))
    assert names(result, "nvlink5") == ["nvlsm", "infiniband-diags"]
    assert names(result, "fabric_manager", "nvsdm") == ["nvidia-fabricmanager", "libnvsdm"]
    # Fabric Manager looks for ib_umad before it starts.
    assert result["load_modules"] == ["ib_umad", "mlx5_core"]
    assert names(choose(facts("ubuntu24", GB200, machine="aarch64")), "imex") == ["nvidia-imex"]


@pytest.mark.parametrize(("branch", "major"), [(535, 12), (575, 12), (580, 13), (620, 13)])
def test_dcgm_4_is_of_the_drivers_cuda_and_replaces_dcgm_3(branch, major):
    result = choose(facts("debian12", "Hopper"), branch=branch)
    assert names(result, "dcgm")[0] == f"datacenter-gpu-manager-4-cuda{major}"
    # It recommends this library, and recommendations are left out.
    assert "libnuma1" in names(result, "dcgm")
    assert "datacenter-gpu-manager" in result["remove"]
    assert result["cuda_major"] == major


def test_the_container_toolkits_four_packages_are_of_one_version():
    result = choose(facts("debian12", "Hopper"))
    four = ["nvidia-container-toolkit", "nvidia-container-toolkit-base"]
    four += ["libnvidia-container-tools", "libnvidia-container1"]
    assert names(result, "container_toolkit") == four
    assert {f"{name}=1.20.0*" for name in four} <= set(result["install"])
    assert set(four) <= set(result["hold"])
    toolkit = result["repositories"][1]
    assert toolkit["url"] == "https://nvidia.github.io/libnvidia-container/stable/deb/amd64/"
    assert toolkit["key_fingerprint"] == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"
    assert toolkit["key_url"] == "https://nvidia.github.io/libnvidia-container/gpgkey"


def test_mig_parted_is_a_download_of_one_version():
    assert choose(facts("debian12", "Hopper"))["downloads"] == []
    on = {"mig_parted": True}
    (file,) = choose(facts("debian12", "Hopper"), parts=on, mig_parted_sha256="00", mirror_url=MIRROR)["downloads"]
    assert file["url"] == f"{MIRROR}/mig-parted/v0.15.0/nvidia-mig-manager_0.15.0-1_amd64.deb"
    assert (file["sha256"], file["verified"]) == ("00", False)
    (file,) = choose(facts("rhel9", "Hopper", machine="aarch64"), parts=on)["downloads"]
    assert file["url"].endswith("/nvidia-mig-manager-0.15.0-1.aarch64.rpm")
