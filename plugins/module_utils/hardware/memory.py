# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host memory: what the kernel manages, what is installed, and how the slots are filled."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import dmi
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.lists import chosen, kib_fields
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.numa import NODE
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

MEMINFO = "/proc/meminfo"
BLOCKS = "/sys/devices/system/memory"
HUGEPAGES = "/sys/kernel/mm/hugepages"
TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/enabled"
EDAC = "/sys/devices/system/edac/mc"
SOURCES = {
    "total_bytes": MEMINFO,
    "installed_bytes": BLOCKS + "/block_size_bytes",
    "ecc": dmi.TABLE,
    "dimm_slots": dmi.TABLE,
    "dimms_populated": dmi.TABLE,
    "dimm_sizes_bytes": dmi.TABLE,
    "hugepages": HUGEPAGES,
    "transparent_hugepages": TRANSPARENT,
}


def host_total(meminfo_total: int | None, numa: list[dict[str, Any]]) -> int | None:
    """MemTotal in bytes without the nodes that are GPU memory, which the kernel counts as its own."""
    kinds = {node["kind"] for node in numa}
    if None in kinds:
        return None
    if "gpu" in kinds:
        host: list[int | None] = [node["memory_bytes"] for node in numa if node["kind"] == "host"]
        known = [size for size in host if size is not None]
        return sum(known) if known and len(known) == len(host) else None
    return meminfo_total


def installed_blocks(tree: Tree, numa: list[dict[str, Any]]) -> int | None:
    """Bytes of the host's online memory blocks: nearer to what is plugged in than MemTotal, and readable by all.

    A block counts whole, also where firmware took a part: on a small machine this is up to one block (128 MiB) high.
    """
    size = tree.integer(BLOCKS + "/block_size_bytes", 16)
    if not size or size < 0:
        return None
    gpu: set[str] = set()
    for node in numa:
        if node["kind"] != "host":
            gpu.update(tree.names(f"{NODE}/node{node['id']}"))
    blocks = 0
    for name in tree.names(BLOCKS):
        if re.fullmatch(r"memory[0-9]{1,9}", name) and name not in gpu:
            blocks += tree.text(f"{BLOCKS}/{name}/state") != "offline"
    return size * blocks if blocks else None


def edac_ecc(tree: Tree) -> bool | None:
    """Whether a loaded EDAC driver reports error correction; None without one."""
    modes = []
    for controller in tree.names(EDAC):
        if not re.fullmatch(r"mc[0-9]{1,4}", controller):
            continue
        for name in tree.names(f"{EDAC}/{controller}"):
            if re.match(r"(dimm|rank)[0-9]", name):
                modes.append(tree.text(f"{EDAC}/{controller}/{name}/dimm_edac_mode"))
    known = [mode for mode in modes if mode and mode != "Unknown"]
    return all(mode != "None" for mode in known) if known else None


def hugepages(tree: Tree) -> list[dict[str, Any]] | None:
    """Per page size: page_bytes, pages (reserved now) and free_pages; None when the kernel has none."""
    found = []
    for name in tree.names(HUGEPAGES):
        match = re.fullmatch(r"hugepages-([0-9]{1,12})kB", name)
        if match:
            found.append(
                {
                    "page_bytes": int(match.group(1)) * 1024,
                    "pages": tree.integer(f"{HUGEPAGES}/{name}/nr_hugepages"),
                    "free_pages": tree.integer(f"{HUGEPAGES}/{name}/free_hugepages"),
                }
            )
    return sorted(found, key=lambda entry: entry["page_bytes"] or 0) or None


def read(tree: Tree, numa: list[dict[str, Any]]) -> dict[str, Any]:
    """The `memory` facts; all sizes in bytes."""
    slots = dmi.read(tree) or {"ecc": None, "dimm_slots": None, "dimms_populated": None, "dimm_sizes_bytes": None}
    sizes = slots["dimm_sizes_bytes"]
    return {
        "total_bytes": host_total(kib_fields(tree.text(MEMINFO)).get("MemTotal"), numa),
        "installed_bytes": sum(sizes) if sizes else installed_blocks(tree, numa),
        "ecc": edac_ecc(tree) if slots["ecc"] is None else slots["ecc"],
        "dimm_slots": slots["dimm_slots"],
        "dimms_populated": slots["dimms_populated"],
        "dimm_sizes_bytes": sizes,
        "hugepages": hugepages(tree),
        "transparent_hugepages": chosen(tree.text(TRANSPARENT)),
    }
