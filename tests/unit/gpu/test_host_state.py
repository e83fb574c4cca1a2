"""What one look at a host tells, from trees of files and answers of programs that were made here."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import (
    host_kernel,
    host_nouveau,
    host_packages,
    host_secure_boot,
    host_sources,
    host_state,
    host_use,
    host_versions,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import Answer, ask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .test_host_keys import FINGERPRINT, KEY

KERNEL, NEWER = "6.1.0-9-amd64", "6.1.0-40-amd64"
POLICY = """\
libcuda1:
  Installed: 580.126.20-1
  Candidate: 580.178.04-1
  Version table:
     580.178.04-1 1001
        500 http://127.0.0.1:8090/cuda/debian12/x86_64  Packages
        500 http://mirror.example/cuda  Packages
 *** 580.126.20-1 100
        100 /var/lib/dpkg/status
nvidia-smi:
  Installed: (none)
  Candidate: (none)
  Version table:
     535.261.03-1 -1
         -1 http://deb.example.com/debian bookworm/non-free amd64 Packages
"""
MODINFO = """\
filename:       /lib/modules/x/updates/dkms/nvidia.ko
version:        580.178.04
license:        {}
sig_key:        0A:1B
parm:           a:b
parm:           c:d
"""
STATUS = """\
Package: nvidia-driver-cuda
Status: hold ok installed
Version: 580.126.20-1

Package: bash
Status: install ok installed
Version: 5.2

Package: nvidia-persistenced
Status: install ok half-configured
Version: 580.126.20-1

Package: libcuda1
Status: deinstall ok config-files
Version: 580.126.20-1
"""


@pytest.fixture
def tree(tmp_path):
    def write(**files: str | bytes) -> Tree:
        """A machine with these files; `/` is written as `__`."""
        for name, content in files.items():
            put(tmp_path, name.replace("__", "/"), content)
        return Tree(str(tmp_path))

    return write


def put(root: Path, path: str, content: str | bytes = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def silent(_command: list[str]) -> Answer:
    return Answer(None, "")


def says(**answers: str):
    """Programs that answer by name; a dash is written as an underscore."""

    def answer(command: list[str]) -> Answer:
        text = answers.get(command[0].replace("-", "_"))
        return Answer(None, "") if text is None else Answer(0, text)

    return answer


# Packages


def test_candidates_and_versions_of_sources_only():
    found = host_packages.parse_policy(POLICY)
    assert found["libcuda1"] == ("580.178.04-1", ["580.178.04-1"])
    assert found["nvidia-smi"] == (None, ["535.261.03-1"])


def test_packages_of_a_driver_with_holds_and_what_is_broken(tree):
    machine = tree(var__lib__dpkg__status=STATUS)
    found = host_packages.read(machine, ["libcuda1"], says(apt_cache=POLICY))
    assert found["packages"] == {"nvidia-driver-cuda": "580.126.20-1"}
    assert (found["held"], found["broken"]) == (["nvidia-driver-cuda"], ["nvidia-persistenced"])
    assert found["candidates"] == {"libcuda1": "580.178.04-1"}
    assert found["manager"] == "apt"


def test_without_dpkg_there_is_no_apt(tree):
    found = host_packages.read(tree(etc__motd=""), ["libcuda1"], silent)
    assert (found["manager"], found["packages"], found["candidates"]) == (None, {}, {})


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("usr/bin/nvidia-uninstall", "/usr/bin/nvidia-uninstall"),
        ("usr/bin/nvidia-installer", "/usr/bin/nvidia-installer"),
    ],
)
def test_a_driver_of_a_run_file(tmp_path, path, told):
    put(tmp_path, path)
    assert host_packages.read(Tree(str(tmp_path)), [], silent)["run_file"] == told


# Kernels and modules


def test_kernels_are_sorted_as_people_count(tmp_path):
    for name in (NEWER, KERNEL):
        put(tmp_path, f"boot/vmlinuz-{name}")
        put(tmp_path, f"lib/modules/{name}/modules.dep")
    put(tmp_path, f"lib/modules/{KERNEL}/build/Makefile")
    put(tmp_path, "boot/vmlinuz-6.9.0-rescue")
    machine = Tree(str(tmp_path))
    assert host_kernel.installed(machine) == [KERNEL, NEWER]
    assert host_kernel.headers(machine) == [KERNEL]


@pytest.mark.parametrize(
    ("place", "license_text", "flavour"),
    [
        ("updates/dkms/nvidia.ko", "Dual MIT/GPL", "open"),
        ("updates/dkms/nvidia-current-open.ko.xz", "Dual MIT/GPL", "open"),
        ("updates/dkms/nvidia-current.ko", "NVIDIA", "proprietary"),
        ("updates/dkms/nvidia-tesla-535.ko", "NVIDIA", "proprietary"),
        ("kernel/nvidia-580srv-open/nvidia.ko.zst", "Dual MIT/GPL", "open"),
    ],
)
def test_modules_wherever_distributions_put_them(tmp_path, place, license_text, flavour):
    put(tmp_path, f"lib/modules/{KERNEL}/{place}")
    put(tmp_path, f"lib/modules/{KERNEL}/updates/dkms/nvidia-uvm.ko")
    found = host_kernel.modules(Tree(str(tmp_path)), says(modinfo=MODINFO.format(license_text)))[KERNEL]
    assert (found["version"], found["flavour"], found["sig_key"]) == ("580.178.04", flavour, "0A:1B")
    assert found["path"] == f"/lib/modules/{KERNEL}/{place}"


def test_nvidias_module_comes_before_amds(tmp_path):
    for name in ("amdgpu.ko", "nvidia.ko"):
        put(tmp_path, f"lib/modules/{KERNEL}/updates/dkms/{name}")
    found = host_kernel.modules(Tree(str(tmp_path)), says(modinfo=MODINFO.format("NVIDIA")))[KERNEL]
    assert (found["name"], found["names"]) == ("nvidia", ["nvidia", "amdgpu"])


def test_a_kernel_without_a_module_and_a_host_without_modinfo(tmp_path):
    put(tmp_path, f"lib/modules/{KERNEL}/updates/dkms/zfs.ko")
    put(tmp_path, f"lib/modules/{NEWER}/updates/dkms/nvidia.ko")
    assert host_kernel.modules(Tree(str(tmp_path)), silent) == {}


@pytest.mark.parametrize(
    ("text", "flavour"),
    [
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.178.04  Release", "open"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.178.04  Fri", "proprietary"),
    ],
)
def test_the_loaded_module(tree, text, flavour):
    machine = tree(
        proc__driver__nvidia__version=text,
        sys__module__nvidia__refcnt="3\n",
        sys__module__nvidia__holders__nvidia_uvm="",
    )
    assert host_kernel.loaded(machine) == {
        "name": "nvidia",
        "version": "580.178.04",
        "flavour": flavour,
        "holders": ["nvidia_uvm"],
        "references": 3,
    }


def test_the_loaded_module_of_amd_or_none(tree):
    assert host_kernel.loaded(tree(sys__module__amdgpu__version="6.16.6"))["name"] == "amdgpu"
    assert host_kernel.loaded(Tree("/var/empty")) is None


def test_what_dkms_knows(tmp_path):
    folder = tmp_path / "var/lib/dkms/nvidia-current"
    put(tmp_path, "usr/src/nvidia-current-580.178.04/dkms.conf")
    for version in ("580.178.04", "580.126.20"):
        (folder / version).mkdir(parents=True)
        (folder / version / "source").symlink_to("/usr/src/nvidia-current-580.178.04")
    put(tmp_path, f"var/lib/dkms/nvidia-current/580.178.04/{KERNEL}/x86_64/log/make.log")
    (folder / f"kernel-{KERNEL}-x86_64").symlink_to(f"580.178.04/{KERNEL}/x86_64")
    found = host_kernel.dkms(Tree(str(tmp_path)))
    assert {(item["version"], item["kernel"], item["state"]) for item in found} == {
        ("580.178.04", KERNEL, "installed"),
        ("580.126.20", "", "added"),
    }


# nouveau


def test_nouveau_stays_in_an_initramfs_that_is_older_than_the_blacklist(tmp_path):
    own = put(tmp_path, host_nouveau.OWN[1:], "blacklist nouveau\n")
    for name in (KERNEL, NEWER):
        put(tmp_path, f"boot/initrd.img-{name}")
    os.utime(own, (2000, 2000))
    os.utime(tmp_path / f"boot/initrd.img-{KERNEL}", (1000, 1000))
    os.utime(tmp_path / f"boot/initrd.img-{NEWER}", (3000, 3000))
    machine = Tree(str(tmp_path))
    found = host_nouveau.read(machine, machine)
    assert (found["initramfs"], found["blacklisted"], found["loaded"]) == ([KERNEL], True, False)
    own.unlink()
    found = host_nouveau.read(machine, machine)
    assert (found["initramfs"], found["blacklisted"]) == ([NEWER, KERNEL], False)


@pytest.mark.parametrize("text", ["quiet modprobe.blacklist=nouveau", "module_blacklist=pcspkr,nouveau ro"])
def test_a_blacklist_on_the_kernels_command_line(tree, text):
    machine = tree(proc__cmdline=text, sys__module__nouveau__srcversion="0")
    found = host_nouveau.read(machine, machine)
    assert (found["blacklisted"], found["loaded"]) == (True, True)


# Secure Boot


def firmware(on: int) -> dict[str, bytes]:
    return {host_secure_boot.firmware.SECURE_BOOT.lstrip("/").replace("/", "__"): bytes([6, 0, 0, 0, on])}


@pytest.mark.parametrize(
    ("said", "enrolled", "pending"),
    [
        ("/var/lib/dkms/mok.pub is already enrolled\n", True, False),
        ("/var/lib/dkms/mok.pub is already in the enrollment request\n", False, True),
        ("/var/lib/dkms/mok.pub is not enrolled\n", False, False),
    ],
)
def test_what_mokutil_says_of_the_key(tree, said, enrolled, pending):
    machine = tree(**firmware(1), var__lib__dkms__mok="", **{"var__lib__dkms__mok.pub": "key"})
    found = host_secure_boot.read(machine, machine, "x86_64", says(mokutil=said))
    assert (found["enabled"], found["key_path"]) == (True, "/var/lib/dkms/mok.pub")
    assert (found["key_enrolled"], found["key_pending"]) == (enrolled, pending)


def test_mokutil_is_not_asked_where_it_decides_nothing(tree):
    def never(command: list[str]) -> Answer:
        raise AssertionError(command)

    machine = tree(**firmware(0), **{"var__lib__dkms__mok.pub": "key"})
    assert host_secure_boot.read(machine, machine, "x86_64", never)["enabled"] is False
    (Path(machine.root) / "var/lib/dkms/mok.pub").unlink()
    assert host_secure_boot.read(tree(**firmware(1)), machine, "x86_64", never)["key_path"] is None


# Who uses a GPU


def test_who_has_a_gpu_open(tmp_path):
    for pid, command, target in (
        (7, "python", "/dev/nvidia0"),
        (8, "nvidia-persistenced", "/dev/nvidiactl"),
        (9, "bash", "/dev/pts/0"),
        (10, "rocm", "/dev/kfd"),
    ):
        put(tmp_path, f"proc/{pid}/comm", f"{command}\n")
        (tmp_path / f"proc/{pid}/fd").mkdir()
        (tmp_path / f"proc/{pid}/fd/3").symlink_to(target)
    put(tmp_path, "proc/cpuinfo")
    found = host_use.read(Tree(str(tmp_path)))
    assert [(item["pid"], item["daemon"]) for item in found] == [(10, False), (7, False), (8, True)]


# Sources


def test_entries_of_others_for_the_same_repositories(tmp_path):
    put(
        tmp_path,
        "etc/apt/sources.list",
        "deb http://deb.example.com/debian bookworm main # own\n# deb http://x y\ndeb-src http://z w main\n",
    )
    cuda = "https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/"
    put(tmp_path, "etc/apt/sources.list.d/site.list", f"deb [arch=amd64 signed-by=/k.gpg] {cuda} /\n")
    put(tmp_path, "etc/apt/sources.list.d/mirror.sources", "Types: deb\nURIs: http://mirror.example/cuda\nSuites: /\n")
    put(tmp_path, "etc/apt/sources.list.d/off.sources", f"Types: deb\nURIs: {cuda}\nSuites: /\nEnabled: no\n")
    put(tmp_path, "etc/apt/sources.list.d/mlops-onprem-nvidia-cuda.sources", f"Types: deb\nURIs: {cuda}\nSuites: /\n")
    found = host_sources.read(Tree(str(tmp_path)), ["http://mirror.example/cuda/"])
    assert [item["file"].rsplit("/", 1)[-1] for item in found["sources"]] == ["mirror.sources", "site.list"]
    assert [(item["suite"], item["components"]) for item in found["distribution"]] == [("bookworm", ["main"])]


# Versions


def test_versions_are_compared_as_numbers():
    names = ["580.9.01-1", "580.126.20-1", "575.200.01-1", "other"]
    assert sorted(names, key=host_versions.by_version) == ["other", "575.200.01-1", "580.9.01-1", "580.126.20-1"]


@pytest.mark.parametrize(
    ("packages", "version", "flavour"),
    [
        ({"nvidia-driver-cuda": "580.1.2-1", "nvidia-kernel-open-dkms": "580.1.2-1"}, "580.1.2", "open"),
        (
            {"libcuda1": "535.309.01-0+deb12u1", "nvidia-kernel-dkms": "535.309.01-0+deb12u1"},
            "535.309.01",
            "proprietary",
        ),
        ({"nvidia-utils-580-server": "580.95.05-0ubuntu0.24.04.1"}, "580.95.05", None),
        ({"nvidia-container-toolkit": "1.20.0-1", "nvidia-persistenced": "535.171.04-1"}, None, None),
        ({}, None, None),
    ],
)
def test_the_driver_that_is_installed(packages, version, flavour):
    found = host_versions.installed(packages, "nvidia")
    assert (found.version, found.flavour) == (version, flavour)


# All of it


def test_one_look_tells_all_and_survives_an_empty_machine(tmp_path):
    wanted = {
        "packages": [],
        "units": ["x.service"],
        "files": ["/etc/x"],
        "key_files": ["/k"],
        "repositories": [],
        "users": [],
    }
    (tmp_path / "usr").mkdir()
    found = host_state.look(Tree(str(tmp_path)), Tree(str(tmp_path)), wanted, silent)
    assert found["kernel"] == {"running": None, "installed": [], "headers": [], "next": None, "boot_id": None}
    assert (found["files"], found["key_files"], found["units"]) == ({"/etc/x": None}, {"/k": None}, {})
    assert found["free_bytes"]["/usr"] > 0
    assert found["free_bytes"]["/var"] is None
    assert (found["record"], found["loaded"], found["processes"]) == (None, None, [])


def test_files_keys_and_the_record(tree):
    machine = tree(
        etc__x="text",
        k=KEY,
        broken="no key",
        **{"var__lib__mlops-onprem__gpu__driver.json": json.dumps({"state": "complete"})},
    )
    assert host_state.files(machine, ["/etc/x"]) == {"/etc/x": hashlib.sha256(b"text").hexdigest()}
    assert host_state.keys(machine, ["/k", "/broken"]) == {"/k": [FINGERPRINT], "/broken": None}
    assert host_state.record(machine) == {"state": "complete"}
    put(Path(machine.root), host_state.RECORD[1:], '{"state": ')
    assert host_state.record(Tree(machine.root)) == {"state": "broken"}


def test_units_in_the_order_of_the_question():
    one = "Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
    said = f"{one}\nId=c.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
    found = host_state.units(["a.service", "b.service"], says(systemctl=said))
    assert found["a.service"] == {"load": "loaded", "active": "active", "enabled": "enabled"}
    assert found["b.service"] == {"load": "not-found", "active": "inactive", "enabled": ""}
    assert host_state.units(["a.service"], says(systemctl=said)) == {}


def test_programs_are_asked_without_raising():
    assert ask(["sh", "-c", "echo a; echo b >&2; exit 3"]) == Answer(3, "a\nb\n")
    assert ask(["/no/such/program"]) == Answer(None, "")
