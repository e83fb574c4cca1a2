# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AMD's compute topology in sysfs (`/sys/class/kfd`): GPU memory and xGMI links, without ROCm."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

NODES = "/sys/class/kfd/kfd/topology/nodes"
# The kernel's kfd_crat.h: memory of the GPU itself (public and private), and a link of GPU to GPU.
_HEAP_GPU = (1, 2)
_LINK_XGMI = 11
MAX_ENTRIES = 256


def properties(text: str | None) -> dict[str, int]:
    """`name number` lines."""
    return {name: int(value) for name, value in re.findall(r"^(\w{1,64}) ([0-9]{1,20})$", text or "", re.M)}


def address_of(node: dict[str, int]) -> str:
    """The PCI address in `location_id` (bus, device, function) and `domain`."""
    location = node.get("location_id", 0)
    return f"{node.get('domain', 0):04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"


def cards(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """pci_address, pci_id and memory_bytes by card: a card that is cut into partitions is one node for each of them."""
    found: dict[str, dict[str, Any]] = {}
    for node in nodes:
        card = found.setdefault(node["pci_address"], {name: node[name] for name in ("pci_address", "pci_id")})
        sizes = (card.get("memory_bytes", 0), node["memory_bytes"])
        card["memory_bytes"] = None if None in sizes else sum(sizes)
    return list(found.values())


def read(tree: Tree) -> list[dict[str, Any]]:
    """The GPU nodes: node (number), pci_address, pci_id, memory_bytes, numbers of nodes linked by xGMI."""
    found = []
    for name in sorted((name for name in tree.names(NODES) if re.fullmatch(r"[0-9]{1,5}", name)), key=int):
        node = properties(tree.text(f"{NODES}/{name}/properties"))
        if not node.get("simd_count"):
            continue
        memory = 0
        for bank in tree.names(f"{NODES}/{name}/mem_banks")[:MAX_ENTRIES]:
            values = properties(tree.text(f"{NODES}/{name}/mem_banks/{bank}/properties"))
            if values.get("heap_type") in _HEAP_GPU:
                memory += values.get("size_in_bytes", 0)
        peers = []
        for link in tree.names(f"{NODES}/{name}/io_links")[:MAX_ENTRIES]:
            values = properties(tree.text(f"{NODES}/{name}/io_links/{link}/properties"))
            if values.get("type") == _LINK_XGMI and "node_to" in values:
                peers.append(values["node_to"])
        found.append(
            {
                "node": int(name),
                "pci_address": address_of(node),
                "pci_id": f"{node.get('vendor_id', 0) & 0xFFFF:04x}:{node.get('device_id', 0) & 0xFFFF:04x}",
                "memory_bytes": memory or None,
                "xgmi": sorted(set(peers)),
            }
        )
    return found
