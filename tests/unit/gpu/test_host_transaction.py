"""What apt says that it would do, and whether it may."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_transaction import (
    Changes,
    complaint,
    judge,
    parse,
    unpacked_bytes,
)

SAID = """\
Reading package lists...
The following packages will be REMOVED:
  nvidia-kernel-dkms
Remv nvidia-kernel-dkms [580.126.20-1]
Purg cuda-keyring [1.1-1]
Inst libcuda1 [580.126.20-1] (595.58.03-1 NVIDIA:debian12 [amd64]) []
Inst nvidia-kernel-open-dkms (595.58.03-1 127.0.0.1 [amd64])
Inst libc6:i386 (2.36-9 Debian:12/stable [i386])
Conf libcuda1 (595.58.03-1 NVIDIA:debian12 [amd64])
"""


def test_a_simulation_as_data():
    found = parse(SAID)
    assert found.installed == {"nvidia-kernel-open-dkms": "595.58.03-1", "libc6:i386": "2.36-9"}
    assert found.changed == {"libcuda1": ("580.126.20-1", "595.58.03-1")}
    assert found.removed == {"nvidia-kernel-dkms": "580.126.20-1", "cuda-keyring": "1.1-1"}
    assert "libcuda1 595.58.03-1 (was 580.126.20-1)" in found.lines()
    assert not parse("0 upgraded, 0 newly installed").any


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("linux-image-6.1.0-99-amd64", True),
        ("linux-image-amd64", True),
        ("linux-generic-hwe-24.04", True),
        ("linux-modules-6.8.0-99-generic", True),
        ("linux-headers-amd64", True),
        ("linux-headers-6.1.0-40-amd64", False),
        ("linux-headers-6.1.0-40-common", False),
        ("linux-modules-nvidia-580-server-open-6.8.0-88-generic", False),
        ("linux-modules-extra-6.8.0-88-generic", False),
        ("linux-kbuild-6.1", False),
        ("linux-libc-dev", False),
        ("linux-compiler-gcc-12-x86", False),
    ],
)
def test_what_moves_the_kernel(name, moves):
    assert bool(judge(Changes(installed={name: "1"}), [], [], [])) == moves
    assert bool(judge(Changes(changed={name: ("1", "2")}), [], [], [])) == moves


def test_a_kernel_that_was_asked_for_by_name_may_come():
    assert judge(Changes(installed={"linux-image-amd64": "1"}), ["linux-image-amd64"], [], []) == []


def test_removing_a_kernel_is_refused():
    assert (
        "move the kernel (linux-image-6.1.0-40-amd64)"
        in judge(Changes(removed={"linux-image-6.1.0-40-amd64": "1"}), [], [], [])[0]
    )


@pytest.mark.parametrize(
    ("name", "may_go"),
    [
        ("nvidia-kernel-dkms", True),
        ("libnvidia-compute-580", True),
        ("libgl1-nvidia-glvnd-glx", True),
        ("cuda-drivers-580", True),
        ("amdrocm7.14", True),
        ("asked-for", True),
        ("slurm-wlm", False),
        ("cuda-toolkit-13-0", False),
        ("python3", False),
    ],
)
def test_what_a_driver_may_remove(name, may_go):
    assert (judge(Changes(removed={name: "1"}), [], ["asked-for"], []) == []) == may_go


def test_what_others_hold_is_not_changed():
    told = judge(Changes(changed={"libcuda1": ("1", "2")}), [], [], ["libcuda1"])
    assert told == ["libcuda1: held on the host by others. Run apt-mark unhold there if it may change."]


def test_apts_own_words():
    text = "Reading...\nThe following packages have unmet dependencies:\n a : Depends: b (= 2)\nE: Unable to correct problems"
    assert (
        complaint(text)
        == "The following packages have unmet dependencies: a : Depends: b (= 2) E: Unable to correct problems"
    )
    assert complaint("Reading...\nE: Unable to locate package x\n") == "E: Unable to locate package x"
    assert complaint("something odd") == "something odd"


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("After this operation, 1,234 MB of additional disk space will be used.", 1_234_000_000),
        ("After this operation, 41.3 kB of additional disk space will be used.", 41_300),
        ("After this operation, 0 B of additional disk space will be used.", 0),
        ("After this operation, 12 MB disk space will be freed.", 0),
        ("", 0),
    ],
)
def test_what_it_takes_on_the_disk(said, size):
    assert unpacked_bytes(f"Need to get 7 MB of archives.\n{said}\n") == size
