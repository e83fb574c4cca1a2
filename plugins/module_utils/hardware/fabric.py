# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What connects accelerators and hosts: NVSwitches, NVLink, xGMI, InfiniBand and RoCE."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.accelerator_table import NVSWITCHES
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

INFINIBAND = "/sys/class/infiniband"
SOURCES = {"nvswitches": pci.DEVICES, "nvlink": pci.DEVICES, "xgmi": "/sys/class/kfd", "*": INFINIBAND}
_BRIDGE = 0x0680
_RATE = re.compile(r"([0-9]{1,5}(?:\.[0-9])?) Gb/sec")


def nvswitches(tree: Tree, classes: dict[str, int]) -> int:
    """Number of NVSwitch chips on the PCI bus."""
    bridges = [address for address, code in classes.items() if code >> 8 == _BRIDGE]
    return sum(1 for address in bridges if pci.pci_id(tree, address) in NVSWITCHES)


def state(text: str | None) -> str | None:
    """`4: ACTIVE` as `active`."""
    match = re.match(r"[0-9]+: (\w{1,32})", text or "")
    return match.group(1).lower() if match else None


def rate(text: str | None) -> float | None:
    """`400 Gb/sec (4X NDR)` as 400.0."""
    match = _RATE.match(text or "")
    return float(match.group(1)) if match else None


def infiniband(tree: Tree) -> list[dict[str, Any]]:
    """One record a port of each RDMA device; link_layer tells InfiniBand from Ethernet (RoCE); rate in Gbit/s."""
    found = []
    for device in tree.names(INFINIBAND):
        place = f"{INFINIBAND}/{device}"
        for port in tree.names(place + "/ports"):
            where = f"{place}/ports/{port}"
            found.append(
                {
                    "device": device,
                    "port": int(port) if re.fullmatch(r"[0-9]{1,3}", port) else None,
                    "link_layer": tree.text(where + "/link_layer"),
                    "state": state(tree.text(where + "/state")),
                    "rate_gbps": rate(tree.text(where + "/rate")),
                    "type": tree.text(place + "/hca_type"),
                    "firmware": tree.text(place + "/fw_ver"),
                    "pci_address": pci.address_of(tree, place + "/device"),
                    "numa_node": pci.numa_node(tree, place + "/device"),
                }
            )
    return found


def read(
    tree: Tree, classes: dict[str, int], accelerators: list[dict[str, Any]], kfd: list[dict[str, Any]]
) -> dict[str, Any]:
    """The `fabric` facts. nvlink and xgmi are `[]` where no GPU could have them, None where it is not known."""
    ports = infiniband(tree)
    addresses = {node["node"]: node["pci_address"] for node in kfd}
    vendors = {record["vendor"] for record in accelerators}
    xgmi: list[dict[str, Any]] | None = [
        {
            "pci_address": node["pci_address"],
            "peers": sorted(addresses[peer] for peer in node["xgmi"] if peer in addresses),
        }
        for node in kfd
        if node["xgmi"]
    ]
    if not kfd and "amd" in vendors:
        xgmi = None
        tree.note("fabric.xgmi", "/sys/class/kfd", "no AMD driver is loaded")
    if "nvidia" in vendors:
        tree.note("fabric.nvlink", "nvidia-smi nvlink -s", "the XML of nvidia-smi does not tell")
    return {
        "nvswitches": nvswitches(tree, classes) if classes else None,
        "nvlink": None if "nvidia" in vendors else [],
        "xgmi": xgmi,
        "infiniband": ports,
        "rdma": bool(ports),
    }
