"""What the role would do to a host, by what it has: the plan as data, without a host."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_plan import FilterModule, driver_plan
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_files

from .hosts import facts
from .machines import DEBIAN, FIRST, KERNEL, LATER, OTHER, hopper, installed, seen, versions, with_sources


def plan(info=None, host=None, **options):
    host = host or hopper()
    return driver_plan(host, options, seen(host, options) if info is None else info)


# A host that has nothing yet


def test_without_a_look_it_says_what_to_look_at():
    asked = driver_plan(hopper(), {})
    assert {"nvidia-driver-cuda", "nvidia-kernel-open-dkms", "nvidia-kernel-dkms", "cuda-keyring"} <= set(
        asked["packages"]
    )
    assert asked["key_files"] == ["/etc/apt/keyrings/nvidia-cuda.asc", "/etc/apt/keyrings/nvidia-container-toolkit.asc"]
    assert all(address.startswith("https://") for address in asked["repositories"])
    assert asked["idle"] == ""


def test_a_host_without_a_gpu_is_idle():
    assert driver_plan(facts("debian12"), {})["idle"] == "Nothing to install: the host has no GPU."


def test_sources_come_before_versions():
    found = plan()
    assert (found["known"], found["install"]) == (False, [])
    assert [item["name"] for item in found["fetch"]] == ["nvidia-cuda", "nvidia-container-toolkit"]
    assert len(found["sources"]) == 3
    assert host_files.PREFERENCES not in found["files"]
    assert found["differs"]


def test_the_newest_of_the_branch_with_versions_in_every_word():
    host = hopper()
    found = plan(with_sources(host, {}, seen(host, {})))
    assert found["known"]
    assert f"nvidia-driver-cuda={LATER}" in found["install"]
    assert f"nvidia-kernel-open-dkms={LATER}" in found["install"]
    assert "nvidia-container-toolkit=1.20.0-1" in found["install"]
    assert f"linux-headers-{KERNEL}=6.1.153-1" in found["install"]
    assert "Pin: version 580.178.04-*" in found["preferences"]
    assert found["builds"] == [KERNEL]
    assert not found["exchanges"]


def test_a_version_that_not_all_packages_have_is_not_taken():
    host = hopper()
    there = versions(FIRST, LATER)
    there["nvidia-driver-cuda"] = [FIRST]
    found = plan(with_sources(host, {}, seen(host, {}, versions=there)))
    assert found["refused"] == []
    assert f"nvidia-kernel-open-dkms={FIRST}" in found["install"]


def test_what_boots_next_gets_its_module_too():
    host = hopper()
    kernel = {"running": KERNEL, "installed": [KERNEL, "6.1.0-53-amd64"], "headers": [], "next": "6.1.0-53-amd64"}
    there = {**versions(FIRST), "linux-headers-6.1.0-53-amd64": ["6.1.170-1"]}
    info = with_sources(
        host, {}, seen(host, {}, kernel=kernel, versions=there, candidates={name: v[0] for name, v in there.items()})
    )
    found = plan(info)
    assert found["releases"] == [KERNEL, "6.1.0-53-amd64"]
    assert "linux-headers-6.1.0-53-amd64=6.1.170-1" in found["install"]


def test_no_headers_of_the_running_kernel_is_a_clear_stop():
    host = hopper()
    there = {name: found for name, found in versions(FIRST).items() if "headers" not in name}
    info = with_sources(host, {}, seen(host, {}, versions=there, candidates={name: v[0] for name, v in there.items()}))
    # Once the lists are as new as they can be; before that, they are fetched.
    assert not plan(info)["known"]
    assert f"no headers of the kernel: linux-headers-{KERNEL}" in plan(info, refreshed=True)["refused"][0]


def test_in_a_container_there_is_user_space_only():
    host = facts("debian12", "Hopper", system={"container": "docker"})
    found = plan(with_sources(host, {}, seen(host, {}, container=True)), host=host)
    assert (found["releases"], found["builds"], found["initramfs"]) == ([], [], [])
    assert not any("dkms" in word or "headers" in word for word in found["install"])
    assert host_files.NOUVEAU not in found["paths"]


# A host that has a driver


def test_a_second_run_finds_nothing_to_do_and_never_upgrades():
    found = plan(installed(hopper(), {}))
    assert (found["differs"], found["reasons"], found["refused"]) == (False, [], [])
    assert found["chosen"]["version"] == FIRST[:-2]


def test_an_upgrade_stays_in_the_branch():
    found = plan(installed(hopper(), {}), upgrade=True)
    assert f"nvidia-driver-cuda={LATER}" in found["install"]
    assert found["exchanges"]


def test_auto_keeps_branch_and_flavour_of_what_is_there():
    there = installed(hopper(), {}, OTHER, "proprietary")
    found = plan(there)
    assert (found["chosen"]["branch"], found["chosen"]["flavour"], found["differs"]) == (595, "proprietary", False)


def test_what_the_gpus_need_beats_what_is_there():
    there = installed(hopper(), {}, flavour="proprietary")
    host = facts("debian12", "Blackwell")
    assert (
        "The host has the proprietary kernel modules, and the open ones are asked for."
        in plan(there, host)["refused"][0]
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"branch": "595"}, "branch 595 is asked for"),
        ({"version": "580.178.04"}, "version 580.178.04 is asked for"),
        ({"flavour": "proprietary"}, "the proprietary ones are asked for"),
    ],
)
def test_an_exchange_has_to_be_asked_for(options, reason):
    there = installed(hopper(), {})
    assert reason in plan(there, **options)["refused"][0]
    found = plan(there, upgrade=True, **options)
    assert (found["refused"], found["exchanges"]) == ([], True)


def test_another_branch_brings_its_pinning_package_and_removes_the_other():
    found = plan(installed(hopper(), {}), branch="595", upgrade=True)
    assert "nvidia-driver-pinning-595=595-1" in found["install"]
    assert found["remove"] == ["nvidia-driver-pinning-580"]


def test_the_other_flavour_removes_the_first_in_the_same_transaction():
    found = plan(installed(hopper(), {}), flavour="proprietary", upgrade=True)
    assert f"nvidia-kernel-dkms={LATER}" in found["install"]
    assert found["remove"] == ["nvidia-kernel-open-dkms"]


def test_a_part_that_is_new_comes_at_the_version_that_is_there():
    host = hopper(switches=4)
    found = plan(installed(hopper(), {}), host=host)
    assert found["install"] == [f"nvidia-fabricmanager={FIRST}", f"libnvidia-nscq={FIRST}"]
    assert not found["exchanges"]


def test_a_module_that_is_missing_is_built():
    assert plan(installed(hopper(), {}, modules={}))["builds"] == [KERNEL]


def test_an_initramfs_with_nouveau_is_made_anew():
    nouveau = {"loaded": False, "blacklisted": True, "files": [], "initramfs": [KERNEL]}
    found = plan(installed(hopper(), {}, nouveau=nouveau))
    assert (found["initramfs"], found["reasons"]) == ([KERNEL], ["initramfs"])


def test_an_interrupted_run_is_completed():
    assert plan(installed(hopper(), {}, record={"state": "changing"}))["reasons"] == ["interrupted"]
    assert plan(installed(hopper(), {}, broken=["nvidia-persistenced", "other"]))["broken"] == ["nvidia-persistenced"]


# What stands against it


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ({"run_file": "/usr/bin/nvidia-uninstall"}, "Run /usr/bin/nvidia-uninstall --silent on the host"),
        ({"manager": None}, "by apt only"),
        (
            {
                "sources": [
                    {"file": "/etc/apt/sources.list.d/site.list", "uris": ["https://x.example/compute/cuda/repos/"]}
                ]
            },
            "/etc/apt/sources.list.d/site.list on the host names https://x.example/compute/cuda/repos/, too",
        ),
        (
            {"held": ["nvidia-driver-cuda"], "record": None},
            "nvidia-driver-cuda: held on the host, and not by this role.",
        ),
        (
            {"processes": [{"pid": 7, "command": "python", "node": "/dev/nvidia0", "daemon": False}]},
            "The GPUs are in use by python (7).",
        ),
    ],
)
def test_reasons_of_the_host(there, sentence):
    found = plan(installed(hopper(), {}, **there), upgrade=True)
    assert sentence in " ".join(found["refused"])


def test_all_reasons_come_at_once():
    host = hopper()
    info = seen(host, {}, run_file="/usr/bin/nvidia-uninstall", manager=None)
    assert len(plan(info)["refused"]) == 2


def test_daemons_of_the_driver_and_a_drain_are_no_reason():
    daemon = {"pid": 7, "command": "nvidia-persistenced", "node": "/dev/nvidia0", "daemon": True}
    job = {"pid": 8, "command": "python", "node": "/dev/nvidia0", "daemon": False}
    assert plan(installed(hopper(), {}, processes=[daemon]), upgrade=True)["refused"] == []
    assert plan(installed(hopper(), {}, processes=[job]), upgrade=True, drains=True)["refused"] == []
    # Nothing of the driver changes.
    assert plan(installed(hopper(), {}, processes=[job]))["refused"] == []


def test_foreign_sources_are_moved_when_that_is_said():
    entry = {"file": "/etc/apt/sources.list.d/site.list", "uris": ["https://x.example/compute/cuda/repos/"]}
    found = plan(installed(hopper(), {}, sources=[entry]), remove_foreign_sources=True)
    assert (found["refused"], found["moved"]) == ([], [entry["file"]])
    known = {"file": "/etc/apt/sources.list.d/cuda-debian12-x86_64.list", "uris": ["x"]}
    assert plan(installed(hopper(), {}, sources=[known]))["moved"] == [known["file"]]


def test_a_key_without_a_fingerprint_is_refused():
    host = facts("debian12", "1002:74a1")
    asked = seen(host, {})
    assert "The fingerprint of the key of amdrocm is not known." in " ".join(plan(asked, host)["refused"])


def test_amds_module_has_to_be_the_one_of_its_package():
    host = facts("debian12", "1002:74a1")
    options = {"keys": {"amdrocm": {"fingerprint": "0" * 40}}}
    there = {
        "amdgpu-dkms": ["1:6.16.6-1"],
        "amdrocm7.14-gfx942": ["7.14.0-1"],
        f"linux-headers-{KERNEL}": ["6.1.153-1"],
    }
    first = seen(host, options, versions=there, candidates={name: found[0] for name, found in there.items()})
    info = with_sources(host, options, first)
    assert plan(info, host, **options)["builds"] == [KERNEL]
    info["modules"] = {KERNEL: {"name": "nvidia", "names": ["nvidia", "amdgpu"]}}
    assert plan(info, host, **options)["builds"] == []


def test_files_of_an_earlier_choice_go():
    old = "/etc/apt/sources.list.d/mlops-onprem-amdgpu.sources"
    info = installed(hopper(), {}, record={"state": "complete", "holds": [], "files": [old]})
    info["files"][old] = "sum"
    assert plan(info)["files"] == {old: None}


def test_mig_parted_needs_its_checksum():
    parts = {"mig_parted": True}
    assert "gpu_driver_mig_parted_sha256" in " ".join(plan(parts=parts)["refused"])
    found = plan(parts=parts, mig_parted_sha256="0" * 64)
    assert [item["part"] for item in found["downloads"]] == ["mig_parted"]
    host = hopper()
    options = {"parts": parts, "mig_parted_sha256": "0" * 64}
    assert plan(seen(host, options, packages={"nvidia-mig-manager": "0.15.0-1"}), host, **options)["downloads"] == []


# Secure Boot


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ({"enabled": False}, "go"),
        ({"enabled": None}, "go"),
        ({"enabled": True}, "stage"),
        ({"enabled": True, "key_enrolled": False, "key_pending": True}, "wait"),
        ({"enabled": True, "key_enrolled": True}, "go"),
    ],
)
def test_secure_boot_of_a_module_that_the_host_builds(state, action):
    full = {"key_path": None, "key_enrolled": None, "key_pending": None, **state}
    found = plan(installed(hopper(), {}, secure_boot=full))
    assert found["signing"] == action
    assert found["differs"] == (action != "go")


def test_secure_boot_of_modules_that_somebody_signed():
    host = facts("ubuntu24", "Hopper")
    options = {"source": "distribution"}
    state = {"enabled": True, "key_path": None, "key_enrolled": None, "key_pending": None}
    kernel = {"running": "6.8.0-88-generic", "installed": [], "headers": [], "next": None}
    assert plan(seen(host, options, secure_boot=state, kernel=kernel), host, **options)["signing"] == "go"


# Files


def test_components_of_the_distribution_are_switched_on_beside_its_own_entries():
    text = host_files.components(
        ["contrib", "non-free"], [DEBIAN, {**DEBIAN, "suite": "bookworm-updates", "signed_by": "/k.gpg"}]
    )
    assert text is not None
    assert text.count("Components: contrib non-free") == 2
    assert text.count("Signed-By: /k.gpg") == 1
    on = {**DEBIAN, "components": ["main", "contrib", "non-free"]}
    assert host_files.components(["contrib", "non-free"], [on]) is None
    # Another's repository is left alone.
    assert host_files.components(["contrib"], [{**DEBIAN, "components": ["stable"]}]) is None


def test_the_filter_names_wrong_input():
    assert list(FilterModule().filters()) == ["gpu_driver_plan"]
    with pytest.raises(AnsibleFilterError, match="facts are a str"):
        driver_plan("x", {})
    with pytest.raises(AnsibleFilterError, match="kernel_releases"):
        driver_plan(hopper(), {"kernel_releases": "x"})
