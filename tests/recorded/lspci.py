"""Turns the text of `lspci -vvv` and of `lspci -nn` into a tree as sysfs would show it."""

from __future__ import annotations

import re
from pathlib import Path

from .bus import Function, identity, link, write_functions

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


def regions_of(block: str) -> str:
    regions = ""
    for start, plain, size, unit in re.findall(
        r"Region \d: Memory at (\w+) \(\S+ (non-)?prefetchable\).*?\[size=(\d+)([KMG]?)\]", block
    ):
        first = int(start, 16) if re.fullmatch(r"[0-9a-f]+", start) else 0
        flags = 0x200 if plain else 0x2200
        regions += f"0x{first:016x} 0x{first + int(size) * UNITS[unit] - 1:016x} 0x{flags:016x}\n"
    return regions


def function_of(head: re.Match, block: str) -> Function:
    address, kind, name = f"0000:{head.group(1)}", head.group(2), head.group(3)
    device = re.search(r"Device ([0-9a-f]{4})", name)
    node = re.search(r"NUMA node: (\d+)", block)
    files = {
        **identity(CLASSES.get(kind, 0x088000), vendor_of(name), int(device.group(1), 16) if device else 0),
        "resource": regions_of(block),
        "numa_node": node.group(1) if node else "-1",
    }
    for prefix, pattern in (
        ("max", r"LnkCap:.*?Speed (\S+?)GT/s, Width x(\d+)"),
        ("current", r"LnkSta:\s+Speed (\S+?)GT/s.*?Width x(\d+)"),
    ):
        found = re.search(pattern, block)
        if found:
            files.update(link(prefix, *found.groups()))
    driver = re.search(r"Kernel driver in use: (\S+)", block)
    return Function(address, "", files, driver.group(1) if driver else "")


def make_tree(text: str, root: Path) -> int:
    """Write `root`/sys/bus/pci/devices and /sys/block out of `lspci -vvv`; the number of functions."""
    functions = []
    bridges: dict[str, str] = {}
    for block in re.split(r"\n(?=[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] )", text):
        head = re.match(r"([0-9a-f:.]+) ([^:\[]+?)(?: \[[0-9a-f]{4}\])?: (.*)", block)
        if head:
            functions.append(function_of(head, block))
            bus = re.search(r"Bus: primary=\w+, secondary=(\w+)", block)
            if bus:
                bridges[bus.group(1)] = functions[-1].address
    for function in functions:
        function.above = bridges.get(function.address.split(":")[1], "")
    write_functions(functions, root)
    disks = [function.address for function in functions if function.files["class"] == "0x010802"]
    for number, address in enumerate(disks):
        disk = root / f"sys/block/nvme{number}n1"
        disk.mkdir(parents=True)
        (disk / "size").write_text("7501476528\n")
        (disk / "device").symlink_to(f"../../bus/pci/devices/{address}")
    return len(functions)


def make_tree_of_ids(text: str, root: Path) -> int:
    """The same out of `lspci -nn`, which tells class and ids by number and nothing else."""
    functions = []
    for line in text.splitlines():
        match = re.match(r"([0-9a-f:]+\.[0-7]) .*?\[([0-9a-f]{4})\]: .*\[([0-9a-f]{4}):([0-9a-f]{4})\]", line)
        if match:
            address, code, vendor, device = match.groups()
            address = address if address.count(":") == 2 else f"0000:{address}"
            functions.append(Function(address, "", identity(int(code, 16) << 8, int(vendor, 16), int(device, 16))))
    write_functions(functions, root)
    return len(functions)
