"""A machine with GPUs that does not exist: a tree like /proc and /sys, kernels, and stand-ins for programs that need them.

    machine.py [--gpus N] [--pci-id 10de:2331] [--switches N] [--secure-boot] [--loaded VERSION] [--nouveau]

Runs in the test's container as root, and may run again with other options. The tree is /srv/gpu/host; the kernel and its
initramfs are in /boot. update-initramfs, mokutil and dkms are scripts in /usr/local/sbin that note how they were called
in /var/log/gpu-vendor.log; what mokutil knows of keys is in /srv/gpu/mok.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

KERNEL = "6.1.0-40-amd64"
HOST = Path("/srv/gpu/host")
LOG = "/var/log/gpu-vendor.log"
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
PROGRAMS = {
    # The kernel it is called for gets a new initramfs.
    "update-initramfs": 'while [ $# -gt 0 ]; do [ "$1" != -k ] || kernel=$2; shift; done\ntouch /boot/initrd.img-$kernel',
    # --test-key, --import and its password on the standard input.
    "mokutil": """case $1 in
--test-key) case $(cat /srv/gpu/mok) in
  enrolled) echo "$2 is already enrolled"; exit 1 ;;
  pending) echo "$2 is already in the enrollment request"; exit 1 ;;
  *) echo "$2 is not enrolled" ;;
  esac ;;
--import) [ -s "$2" ] && read -r one && read -r two && [ -n "$one" ] && [ "$one" = "$two" ] || exit 1
  echo pending > /srv/gpu/mok ;;
esac""",
    "dkms": "exit 0",
}


def write(path: str, text: str) -> None:
    place = HOST / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"{text}\n")


def function(number: int, pci_id: str, kind: str, driver: str = "") -> None:
    """One function on the PCI bus."""
    address = f"0000:{number + 0x10:02x}:00.0"
    vendor, device = pci_id.split(":")
    place = f"sys/bus/pci/devices/{address}"
    values = {"class": kind, "vendor": f"0x{vendor}", "device": f"0x{device}", "numa_node": "0"}
    link = {"current_link_speed": "32.0 GT/s PCIe", "max_link_speed": "32.0 GT/s PCIe"}
    for name, value in {**values, **link, "current_link_width": "16", "max_link_width": "16"}.items():
        write(f"{place}/{name}", value)
    if driver:
        (HOST / place / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--pci-id", default="10de:2331")
    parser.add_argument("--switches", type=int, default=0)
    parser.add_argument("--secure-boot", action="store_true")
    parser.add_argument("--loaded", default="")
    parser.add_argument("--nouveau", action="store_true")
    wanted = parser.parse_args()
    shutil.rmtree(HOST, ignore_errors=True)
    write("etc/os-release", Path("/etc/os-release").read_text())
    write("proc/sys/kernel/osrelease", KERNEL)
    write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu lm")
    # A bus without any GPU has its bridge.
    function(-0x10, "8086:0d57", "0x060000")
    for number in range(wanted.gpus):
        function(number, wanted.pci_id, "0x030200", "nvidia" if wanted.loaded else "")
    for number in range(wanted.switches):
        function(0x40 + number, "10de:22a3", "0x068000")
    if wanted.loaded:
        write("sys/module/nvidia/version", wanted.loaded)
        write(
            "proc/driver/nvidia/version",
            f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {wanted.loaded}  (simulated)",
        )
    if wanted.nouveau:
        write("sys/module/nouveau/srcversion", "0")
    firmware = HOST / SECURE_BOOT
    firmware.parent.mkdir(parents=True)
    firmware.write_bytes(bytes([6, 0, 0, 0, int(wanted.secure_boot)]))
    for name in ("vmlinuz", "initrd.img"):
        file = Path(f"/boot/{name}-{KERNEL}")
        if not file.exists():
            file.write_text("simulated\n")
    Path(f"/lib/modules/{KERNEL}").mkdir(parents=True, exist_ok=True)
    mok = Path("/srv/gpu/mok")
    if not mok.exists():
        mok.write_text("nothing\n")
    for name, text in PROGRAMS.items():
        file = Path("/usr/local/sbin", name)
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {LOG}\n{text}\n')
        file.chmod(0o755)


if __name__ == "__main__":
    main()
