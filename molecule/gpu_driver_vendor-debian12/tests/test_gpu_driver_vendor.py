"""The driver of the vendor's repository, on a machine with two H100 that does not exist; repository and GPUs are stand-ins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "molecule/shared/gpu_vendor"), str(ROOT / "tests/lab")]

from counting import executions  # noqa: E402
from scenario import Scenario  # noqa: E402

FIRST, LATER, OTHER = "580.126.20-1", "580.178.04-1", "595.58.03-1"
KERNEL = "6.1.0-40-amd64"
MODULE = f"/lib/modules/{KERNEL}/updates/dkms/nvidia.ko"
PREFERENCES = "/etc/apt/preferences.d/mlops-onprem-gpu-driver"
RECORD = "/var/lib/mlops-onprem/gpu/driver.json"


@pytest.fixture
def scenario(host):
    return Scenario(host)


@pytest.fixture
def base(host, scenario):
    """The state that converge leaves, whatever a test before did: the first version, with open modules."""
    scenario.machine()
    if not host.file(PREFERENCES).exists:
        scenario.good()
    packages = scenario.packages()
    if packages.get("nvidia-driver-cuda") != FIRST or "nvidia-kernel-open-dkms" not in packages:
        names = ["nvidia-driver-cuda", "nvidia-persistenced", "nvidia-kernel-open-dkms", "libcuda1"]
        names += [name for name in ("nvidia-fabricmanager", "libnvidia-nscq") if name in packages]
        gone = ("nvidia-kernel-dkms", "linux-image-6.1.0-99-amd64")
        others = [name for name in packages if "pinning" in name or name in gone]
        others = [f"{name}-" for name in others if name != "nvidia-driver-pinning-580"]
        words = [*(f"{name}={FIRST}" for name in names), "nvidia-driver-pinning-580", *others]
        host.check_output(f"sed -i 's/^Pin: .*/Pin: version {FIRST[:-2]}-*/' {PREFERENCES}")
        host.check_output(
            f"apt-get -qq --yes --allow-downgrades --allow-change-held-packages install {' '.join(words)}"
        )
        host.check_output(f"apt-mark hold {' '.join(names[:3])}")
    return scenario


# What is there after the run


def test_the_driver_of_the_branch_is_there_with_its_module(host, base):
    packages = base.packages()
    names = ("nvidia-kernel-open-dkms", "nvidia-driver-cuda", "libcuda1", "nvidia-persistenced")
    assert {packages.get(name) for name in names} == {FIRST}
    assert packages["nvidia-container-toolkit"] == "1.20.0-1"
    assert {"datacenter-gpu-manager-4-cuda13", f"linux-headers-{KERNEL}"} <= set(packages)
    assert "nvidia-fabricmanager" not in packages
    shown = host.check_output(f"modinfo {MODULE}")
    assert FIRST[:-2] in shown
    assert "Dual MIT/GPL" in shown


def test_it_is_pinned_held_and_left_alone_by_upgrades(host, base):
    assert "nvidia-driver-cuda" in host.check_output("apt-mark showhold").split()
    # With the hold taken off, the pin alone keeps it.
    host.check_output("apt-mark unhold nvidia-driver-cuda nvidia-kernel-open-dkms nvidia-persistenced")
    try:
        planned = host.check_output("apt-get --simulate dist-upgrade")
        assert "Inst nvidia" not in planned
        assert "Inst libcuda1" not in planned
    finally:
        host.check_output("apt-mark hold nvidia-driver-cuda nvidia-kernel-open-dkms nvidia-persistenced")
    told = host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")
    assert '"^libcuda1"' in told


def test_nouveau_is_off_in_the_initramfs_too(host, base):
    assert "blacklist nouveau" in host.file("/etc/modprobe.d/mlops-onprem-gpu-driver.conf").content_string
    assert f"update-initramfs -u -k {KERNEL}" in base.called("update-initramfs")
    assert host.run(f"test /boot/initrd.img-{KERNEL} -nt /etc/modprobe.d/mlops-onprem-gpu-driver.conf").rc == 0


# What a later run does


def test_a_later_run_never_upgrades_and_costs_little(base):
    """As the README says: at most 12 executions."""
    base.publish(LATER[:-2])
    assert base.executions() <= 12
    assert base.driver() == FIRST


def test_upgrade_and_another_branch_and_back_are_asked_for(host, base):
    base.publish(LATER[:-2])
    # Fabric Manager comes at the driver's version, and goes with it from then on.
    base.machine("--gpus 8 --switches 4")
    base.good(gpu_driver_upgrade=True)
    assert (base.driver(), base.packages()["nvidia-fabricmanager"]) == (LATER, LATER)
    said = base.refused(gpu_driver_branch=595)
    assert "The host has the driver 580.178.04, and branch 595 is asked for. Set gpu_driver_upgrade to true" in said
    assert base.driver() == LATER
    base.good(gpu_driver_branch=595, gpu_driver_upgrade=True)
    assert (base.driver(), base.packages()["nvidia-fabricmanager"]) == (OTHER, OTHER)
    assert "595.58.03" in host.check_output(f"modinfo {MODULE}")
    base.good(gpu_driver_branch=580, gpu_driver_upgrade=True, gpu_driver_flavour="proprietary")
    packages = base.packages()
    assert packages["nvidia-driver-cuda"] == LATER
    assert packages["nvidia-kernel-dkms"] == LATER
    assert "nvidia-kernel-open-dkms" not in packages
    assert [name for name in packages if "pinning" in name] == ["nvidia-driver-pinning-580"]


def test_what_was_cut_off_is_completed(host, base):
    deb = f"/srv/gpu-vendor/cuda/debian12/x86_64/nvidia-persistenced_{FIRST}_amd64.deb"
    host.check_output(f"dpkg --unpack {deb}")
    host.check_output(f"sed -i s/complete/changing/ {RECORD}")
    assert base.changed() > 0
    assert host.check_output("dpkg --audit") == ""
    assert json.loads(host.file(RECORD).content_string)["state"] == "complete"


# What is refused, before anything is removed


def test_a_driver_that_would_move_the_kernel_is_left_where_it_is(base):
    before = base.packages()
    said = base.refused(gpu_driver_branch=590, gpu_driver_upgrade=True)
    assert "apt would move the kernel (linux-image-6.1.0-99-amd64)" in said
    assert base.packages() == before


def test_a_driver_that_would_remove_what_is_no_drivers_is_left_where_it_is(host, base):
    host.check_output("apt-get -qq install site-tool")
    before = base.packages()
    said = base.refused(gpu_driver_branch=610, gpu_driver_upgrade=True)
    assert "apt would remove site-tool, which no driver consists of" in said
    assert base.packages() == before


def test_all_reasons_come_at_once(host, base):
    host.check_output("touch /usr/bin/nvidia-uninstall")
    host.check_output(
        "sh -c 'echo deb http://127.0.0.1:8090/cuda/debian12/x86_64/ / > /etc/apt/sources.list.d/site.list'"
    )
    try:
        said = base.refused()
    finally:
        host.check_output("rm /usr/bin/nvidia-uninstall /etc/apt/sources.list.d/site.list")
    assert "Run /usr/bin/nvidia-uninstall --silent on the host" in said
    assert "/etc/apt/sources.list.d/site.list on the host names" in said


def test_a_gpu_in_use_is_left_alone(host, base):
    base.publish(LATER[:-2])
    host.check_output("touch /dev/nvidia0")
    host.check_output("systemd-run --unit=training --collect sh -c 'exec 3< /dev/nvidia0; sleep 600'")
    try:
        said = base.refused(gpu_driver_upgrade=True)
    finally:
        host.check_output("systemctl stop training")
        host.check_output("rm /dev/nvidia0")
    assert "The GPUs are in use by" in said
    assert base.driver() == FIRST


def test_a_key_of_another_fingerprint_is_not_trusted(host, base):
    place = "/etc/apt/keyrings/nvidia-cuda.asc"
    before = host.file(place).sha256sum
    said = base.refused(gpu_driver_keys={"nvidia-cuda": {"fingerprint": "0" * 40}})
    assert "is not the one that is expected" in said
    assert host.file(place).sha256sum == before


def test_leftovers_of_an_earlier_install_are_moved_away(host, base):
    deb = "/srv/gpu-vendor/cuda/debian12/x86_64/cuda-keyring_1.1-1_amd64.deb"
    host.check_output(f"dpkg --install {deb}")
    assert "Conflicting values set for option Signed-By" in host.run("apt-get update").stderr
    base.good()
    assert host.run("apt-get -q update").rc == 0
    assert "cuda-keyring" not in base.packages()


# Secure Boot


def test_secure_boot_waits_for_a_person(host, base):
    host.check_output("sh -c 'echo nothing > /srv/gpu/mok; rm -f /var/lib/dkms/mok.*'")
    base.machine("--secure-boot")
    said = base.refused()
    assert "In the blue screen of MokManager choose Enroll MOK, Continue, Yes" in said
    assert host.file("/srv/gpu/mok").content_string == "pending\n"
    assert host.file("/var/lib/dkms/mok.key").mode == 0o600
    password = (base.inventory.parent / ".mlops/secrets/gpu_driver_mok_password").read_text().strip()
    assert password not in said
    # It is handed over once, however often the role runs before somebody was there.
    assert "choose Enroll MOK" in base.refused()
    assert len([call for call in base.called("mokutil") if "--import" in call]) == 1


# Other hosts


def test_a_host_without_a_gpu_is_told_so_in_one_line(base):
    base.machine("--gpus 0")
    said = base.good(callback="ansible.posix.json")
    assert "Nothing to install: the host has no GPU." in said
    assert sum(executions(said).values()) <= 3


def test_absent_takes_back_what_it_made_and_amd_gets_its_own(host, base):
    base.good(gpu_driver_state="absent")
    left = [name for name in base.packages() if "nvidia" in name or name == "libcuda1" or "datacenter" in name]
    assert not left
    for path in (RECORD, PREFERENCES, "/etc/apt/keyrings/nvidia-cuda.asc"):
        assert not host.file(path).exists
    assert host.check_output("apt-mark showhold") == ""
    base.machine("--pci-id 1002:74a1")
    base.good()
    assert {"amdgpu-dkms", "amdrocm7.14-gfx942"} <= set(base.packages())
