# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NUMA nodes, with nodes that are a GPU's own memory told apart from the host's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.lists import cpu_list, cpu_mask, kib_fields
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

NODE = "/sys/devices/system/node"
NVIDIA_GPUS = "/proc/driver/nvidia/gpus"
SOURCES = {"cpus": NODE, "memory_bytes": NODE}


def settle(nodes: list[dict[str, Any]], records: Iterable[dict[str, Any]]) -> None:
    """Give the records without a numa_node the only one there is; on several nodes "not said" (-1) stays unknown."""
    host = [node["id"] for node in nodes if node["kind"] == "host"]
    if len(host) == 1:
        for record in records:
            if record["numa_node"] is None:
                record["numa_node"] = host[0]


def gpu_nodes(tree: Tree) -> tuple[set[int], bool]:
    """Ids of the nodes that the NVIDIA driver says are GPU memory (POWER9 with V100, GH200, GB200).

    The second value: whether it says so of every GPU.
    """
    found = set()
    addresses = tree.names(NVIDIA_GPUS)
    told = 0
    for address in addresses:
        match = re.search(r"^Node:\s+(-?[0-9]{1,6})\s*$", tree.text(f"{NVIDIA_GPUS}/{address}/numa_status") or "", re.M)
        if match:
            told += 1
            found.add(int(match.group(1)))
    return found, 0 < told == len(addresses)


def read(tree: Tree, coherent_gpu: bool = False) -> list[dict[str, Any]]:
    """The `numa` facts, sorted by id; `memory_bytes` is the node's MemTotal.

    `coherent_gpu`: a GPU is or may be present whose memory the kernel shows as a node without CPUs. Where the driver's
    own word is missing, such nodes are taken for the GPU's; of a node that hides its CPUs the kind is None.
    """
    ids = sorted(int(name[4:]) for name in tree.names(NODE) if re.fullmatch(r"node[0-9]{1,6}", name))
    of_gpu, told = gpu_nodes(tree)
    nodes = []
    for number in ids:
        place = f"{NODE}/node{number}"
        listed = tree.text(place + "/cpulist")
        cpus = cpu_list(listed) if listed is not None else cpu_mask(tree.text(place + "/cpumap"))
        if cpus is None and tree.reason(place + "/cpulist") == "empty":
            cpus = []
        memory = kib_fields(tree.text(place + "/meminfo")).get("MemTotal")
        kind: str | None = "gpu" if number in of_gpu else "host"
        if kind == "host" and coherent_gpu and not told and not cpus:
            kind = None if cpus is None else "gpu" if memory else "host"
        nodes.append({"id": number, "cpus": cpus, "memory_bytes": memory, "kind": kind})
    return nodes
