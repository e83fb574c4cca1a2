# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCI functions from sysfs: class and ids, NUMA node, driver, link and regions."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

DEVICES = "/sys/bus/pci/devices"
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_RESOURCE = re.compile(r"0x([0-9a-fA-F]{1,16}) 0x([0-9a-fA-F]{1,16}) 0x([0-9a-fA-F]{1,16})")
# PCI Express base specification: transfer rate in GT/s by generation.
_GENERATIONS = {
    "2.5": 1,
    "5": 2,
    "5.0": 2,
    "8": 3,
    "8.0": 3,
    "16": 4,
    "16.0": 4,
    "32": 5,
    "32.0": 5,
    "64": 6,
    "64.0": 6,
}


def classes(tree: Tree) -> dict[str, int]:
    """Each function's 24-bit class code by address, in the order of addresses."""
    found = {}
    names = tree.names(DEVICES)
    if not names and tree.reason(DEVICES) not in ("not there", "empty"):
        # Machines without this bus exist; one that hides it may have any number of cards.
        tree.incomplete.setdefault("accelerators", (DEVICES, tree.reason(DEVICES)))
    for name in names:
        if ADDRESS.fullmatch(name):
            path = f"{DEVICES}/{name}/class"
            code = tree.integer(path, 16)
            if code is not None:
                found[name] = code
            else:
                # It may have been a GPU.
                tree.incomplete.setdefault("accelerators", (path, tree.reason(path)))
    return found


def pci_id(tree: Tree, address: str) -> str | None:
    """`10de:2330`: vendor and device, hexadecimal."""
    vendor = tree.integer(f"{DEVICES}/{address}/vendor", 16)
    device = tree.integer(f"{DEVICES}/{address}/device", 16)
    if vendor is None or device is None:
        return None
    return f"{vendor & 0xFFFF:04x}:{device & 0xFFFF:04x}"


def numa_node(tree: Tree, path: str) -> int | None:
    """A device's NUMA node by its sysfs directory; -1, the kernel's "not said", is None."""
    node = tree.integer(path + "/numa_node")
    return node if node is not None and node >= 0 else None


def generation(text: str | None) -> int | None:
    """`16.0 GT/s PCIe` as 4; None for `Unknown speed`."""
    match = re.match(r"([0-9.]{1,5}) ?GT/s", text or "")
    return _GENERATIONS.get(match.group(1)) if match else None


def width(value: int | None) -> int | None:
    """Lanes; the kernel's 0 and 255 mean unknown."""
    return value if value is not None and 0 < value <= 32 else None


def link(tree: Tree, address: str) -> dict[str, int | None]:
    """The function's own link: now and at best. An idle GPU lowers its generation; that is no fault."""
    place = f"{DEVICES}/{address}/"
    return {
        "generation": generation(tree.text(place + "current_link_speed")),
        "max_generation": generation(tree.text(place + "max_link_speed")),
        "width": width(tree.integer(place + "current_link_width")),
        "max_width": width(tree.integer(place + "max_link_width")),
    }


def path_limits(tree: Tree, address: str, known: dict[str, tuple[int | None, int | None]]) -> dict[str, int | None]:
    """path_generation and path_width: the best that every part between the function and its root port can do.

    A card of generation 5 in a slot of generation 4 never runs faster than 4, and that is no fault. None when a part does
    not tell. `known` keeps what was read of bridges that several functions share.
    """
    real = tree.resolve(f"{DEVICES}/{address}") or ""
    parts = [part for part in real.split("/") if ADDRESS.fullmatch(part)] or [address]
    limits = []
    for part in parts:
        if part not in known:
            place = f"{DEVICES}/{part}/"
            known[part] = (
                generation(tree.text(place + "max_link_speed")),
                width(tree.integer(place + "max_link_width")),
            )
        limits.append(known[part])
    generations = [limit[0] for limit in limits]
    widths = [limit[1] for limit in limits]
    return {
        "path_generation": min(value for value in generations if value) if all(generations) else None,
        "path_width": min(value for value in widths if value) if all(widths) else None,
    }


def largest_region(text: str | None) -> int | None:
    """Bytes of the largest prefetchable memory region in a `resource` file; None when it has none."""
    best = 0
    for start, end, flags in _RESOURCE.findall(text or ""):
        # IORESOURCE_MEM and IORESOURCE_PREFETCH of the kernel's ioport.h.
        if int(flags, 16) & 0x200 and int(flags, 16) & 0x2000:
            best = max(best, int(end, 16) - int(start, 16) + 1)
    return best or None


def address_of(tree: Tree, path: str) -> str | None:
    """The PCI address of a device directory, or of the PCI device it sits on (virtio, NVMe)."""
    real = tree.resolve(path)
    for part in reversed((real or "").split("/")):
        if ADDRESS.fullmatch(part):
            return part
    return None


def parse_names(data: bytes, wanted: set[str]) -> dict[str, str]:
    """Device names by `vendor:device` out of a pci.ids file."""
    names: dict[str, str] = {}
    vendor = ""
    vendors = {identity[:4] for identity in wanted}
    for line in data.decode("utf-8", "replace").splitlines():
        if line[:1] not in ("\t", "#", ""):
            vendor = line[:4] if line[:4] in vendors else ""
        elif vendor and line[:1] == "\t" and line[1:2] != "\t":
            identity = f"{vendor}:{line[1:5]}"
            if identity in wanted:
                names[identity] = line[5:].strip()
    return names


def link_values(**values: Any) -> dict[str, Any]:
    """A link record with every key, None where not given."""
    names = ("generation", "max_generation", "width", "max_width", "path_generation", "path_width")
    return {name: values.get(name) for name in names}
