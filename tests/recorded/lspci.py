"""Turns the text of `lspci -vvv` into a tree as sysfs would show it."""

from __future__ import annotations

import re
from pathlib import Path

CLASSES = {
    "3D controller": 0x030200,
    "VGA compatible controller": 0x030000,
    "Bridge": 0x068000,
    "PCI bridge": 0x060400,
    "Non-Volatile memory controller": 0x010802,
    "Ethernet controller": 0x020000,
    "Infiniband controller": 0x020700,
    "System peripheral": 0x088000,
}
VENDORS = {
    "NVIDIA": 0x10DE,
    "Intel": 0x8086,
    "Mellanox": 0x15B3,
    "Matrox": 0x102B,
    "Micron": 0x1344,
    "Broadcom": 0x14E4,
}
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def vendor_of(name: str) -> int:
    return next((number for start, number in VENDORS.items() if name.startswith(start)), 0x1022)


def make_tree(text: str, root: Path) -> int:
    """Write `root`/sys/bus/pci/devices and /sys/block; the number of functions."""
    count = disks = 0
    for block in re.split(r"\n(?=[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] )", text):
        head = re.match(r"([0-9a-f:.]+) ([^:\[]+?)(?: \[[0-9a-f]{4}\])?: (.*)", block)
        if not head:
            continue
        count += 1
        address, kind, name = f"0000:{head.group(1)}", head.group(2), head.group(3)
        place = root / "sys/bus/pci/devices" / address
        place.mkdir(parents=True)
        device = re.search(r"Device ([0-9a-f]{4})", name)
        numbers = re.findall(r"Region \d: Memory at (\w+) \(\S+ (non-)?prefetchable\).*?\[size=(\d+)([KMG]?)\]", block)
        regions = ""
        for start, plain, size, unit in numbers:
            first = int(start, 16) if re.fullmatch(r"[0-9a-f]+", start) else 0
            flags = 0x200 if plain else 0x2200
            regions += f"0x{first:016x} 0x{first + int(size) * UNITS[unit] - 1:016x} 0x{flags:016x}\n"
        files = {
            "class": f"0x{CLASSES.get(kind, 0x088000):06x}",
            "vendor": f"0x{vendor_of(name):04x}",
            "device": f"0x{device.group(1) if device else '0000'}",
            "resource": regions,
        }
        node = re.search(r"NUMA node: (\d+)", block)
        files["numa_node"] = node.group(1) if node else "-1"
        for prefix, pattern in (
            ("max", r"LnkCap:.*?Speed (\S+?GT/s), Width x(\d+)"),
            ("current", r"LnkSta:\s+Speed (\S+?GT/s).*?Width x(\d+)"),
        ):
            link = re.search(pattern, block)
            if link:
                files[f"{prefix}_link_speed"] = link.group(1).replace("GT/s", " GT/s PCIe")
                files[f"{prefix}_link_width"] = link.group(2)
        for file, content in files.items():
            (place / file).write_text(content + "\n")
        if kind == "Non-Volatile memory controller":
            disk = root / f"sys/block/nvme{disks}n1"
            disk.mkdir(parents=True)
            (disk / "size").write_text("7501476528\n")
            (disk / "device").symlink_to(f"../../bus/pci/devices/{address}")
            disks += 1
    return count
