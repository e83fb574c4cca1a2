# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What amdgpu says of its cards, from the kernel's own files: nothing of ROCm is asked."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, WARN, row
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table, kfd, pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

# The kernel's names of the parts that can correct errors (amdgpu_ras): the memory's controller is the one that matters most.
_BLOCKS = ("umc", "sdma", "gfx", "mmhub", "xgmi_wafl", "hdp", "pcie_bif")


def look(tree: Tree) -> dict[str, dict[str, Any]]:
    """The cards that compute, by PCI address: pci_id, name, memory_bytes, uuid, link, and errors by part."""
    found = {}
    for card in kfd.cards(kfd.read(tree)):
        address = card["pci_address"]
        place = f"{pci.DEVICES}/{address}"
        model = accelerator_table.MODELS.get(card["pci_id"])
        found[address] = {
            **card,
            "name": model.name if model else None,
            "architecture": model.architecture if model else None,
            "uuid": tree.text(place + "/unique_id"),
            "link": pci.link(tree, address),
            "uncorrectable": _errors(tree, place),
        }
    return found


def _errors(tree: Tree, place: str) -> dict[str, int]:
    """Uncorrectable errors since the driver was loaded, by part; empty on cards that do not count them."""
    counts = {}
    for block in _BLOCKS:
        match = re.search(r"^ue: ([0-9]{1,12})$", tree.text(f"{place}/ras/{block}_err_count") or "", re.M)
        if match:
            counts[block] = int(match.group(1))
    return counts


def ecc(gpu: dict[str, Any]) -> dict[str, Any]:
    """Errors since the driver was loaded."""
    address, counts = gpu["pci_address"], gpu["uncorrectable"]
    if not counts:
        return row("ecc", SKIPPED, "the card counts no errors", gpu=address)
    bad = ", ".join(f"{block} {count}" for block, count in counts.items() if count)
    if bad:
        mend = "Reboot the host, then run this again. Where they come back, have the card replaced"
        return row("ecc", FAIL, f"uncorrectable errors since the driver was loaded: {bad}", "0", mend, address)
    return row("ecc", PASS, "no uncorrectable memory errors", gpu=address)


def p2p(tree: Tree, addresses: list[str]) -> list[dict[str, Any]]:
    """Whether each card has a direct way to each other one, by xGMI or by the PCI bus, as the kernel lists them."""
    names = [name for name in tree.names(kfd.NODES) if name.isdigit()]
    place = {name: kfd.address_of(kfd.properties(tree.text(f"{kfd.NODES}/{name}/properties"))) for name in names}
    reach: dict[str, set[str]] = {}
    for name in names:
        for kind in ("io_links", "p2p_links"):
            folder = f"{kfd.NODES}/{name}/{kind}"
            for link in tree.names(folder)[: kfd.MAX_ENTRIES]:
                target = str(kfd.properties(tree.text(f"{folder}/{link}/properties")).get("node_to"))
                reach.setdefault(place[name], set()).add(place.get(target, ""))
    pairs = [(one, two) for number, one in enumerate(addresses) for two in addresses[number + 1 :]]
    closed = [f"{one}-{two}" for one, two in pairs if two not in reach.get(one, ()) and one not in reach.get(two, ())]
    if closed:
        return [row("p2p", WARN, f"not directly reachable, through the host's memory: {', '.join(closed)}")]
    return [row("p2p", PASS, f"all {len(addresses)} reach each other's memory")]
