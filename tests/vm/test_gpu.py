"""The gpu_driver role and a real kernel: nouveau out of the initramfs, and a module that this kernel takes.

The machine has Debian's own driver, built for its kernel, and Debian's own initramfs; there is no GPU in it. Where a device of
NVIDIA would be on the bus, its alias is asked for, which is what udev does with it.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from machine import Machine
from rack import Rack

# scripts/vm_image.sh 12 gpu
RELEASE, IMAGE = "12", "gpu"
BOOT_SECONDS = 900
H100 = "pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00"


@pytest.fixture(scope="module")
def machine(rack: Rack) -> Machine:
    machine = rack.machine("gpu", memory_mib=2048)
    # What it does is one thing after the other: a second processor would only wait.
    machine.processors = 1
    machine.initramfs = machine.image.initramfs
    # Debian's initramfs starts udev, which is many processes: slow where the computer is busy with others.
    return machine.start(timeout=BOOT_SECONDS)


def plays() -> list[dict[str, Any]]:
    role = {
        "role": "mlops.onprem.gpu_driver",
        "gpu_driver_source": "distribution",
        "gpu_driver_force_vendor": "nvidia",
        "gpu_driver_flavour": "proprietary",
        # QEMU holds the initramfs of the start: the test restarts the machine.
        "gpu_driver_reboot": "never",
        "gpu_driver_validation": "none",
        # What goes beside the driver is tested in containers.
        "gpu_driver_parts": {"persistence": False},
        "gpu_driver_report_dir": "",
    }
    return [{"hosts": "gpu", "gather_facts": False, "roles": [role]}]


def modules(machine: Machine, file: str) -> set[str]:
    """Names of the loaded modules: now (/proc/modules), or when the initramfs had asked for the device."""
    return {line.split()[0] for line in machine.ok(f"cat {file}").splitlines()}


def test_an_initramfs_without_the_blacklist_loads_nouveau(machine: Machine) -> None:
    """Or the tests below would show nothing."""
    assert "nouveau" in modules(machine, "/run/initramfs/modules")
    assert "nouveau" in modules(machine, "/proc/modules")


def test_the_role_makes_the_initramfs_anew(rack: Rack, machine: Machine) -> None:
    before = machine.ok("sha256sum /boot/initrd.img-*")
    play = rack.play(plays(), timeout=1500)
    assert play.returncode == 0, play.output
    assert machine.ok("sha256sum /boot/initrd.img-*") != before, play.output


def test_the_next_boot_has_no_nouveau(machine: Machine) -> None:
    machine.restart_from_boot(timeout=BOOT_SECONDS)
    assert "nouveau" not in modules(machine, "/run/initramfs/modules")
    machine.run(f"modprobe -b {H100}")
    assert "nouveau" not in modules(machine, "/proc/modules")


def test_the_kernel_takes_the_module_and_only_misses_the_device(machine: Machine) -> None:
    """ENODEV, and nothing of symbols, versions or signatures. The kernel's messages say why."""
    machine.ok("dmesg --clear")
    loading = machine.run(f"modprobe {H100}")
    told = machine.ok("dmesg")
    assert loading.returncode != 0 and "No such device" in loading.stderr, loading
    assert "NVRM: No NVIDIA GPU found." in told, told
    # That an unsigned module taints the kernel is no rejection.
    assert not re.search("Unknown symbol|disagrees about|version magic|is rejected", told), told
