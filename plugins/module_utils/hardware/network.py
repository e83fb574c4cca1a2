# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network cards: interfaces with a device behind them. Bridges, bonds, veth and the like are not cards."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

NET = "/sys/class/net"
SOURCES = {"*": NET}


def read(tree: Tree) -> list[dict[str, Any]]:
    """The `network` facts, sorted by name; speed_mbps is what the link negotiated, not what the card could do."""
    found = []
    for name in tree.names(NET):
        place = f"{NET}/{name}"
        # A virtual interface has no link to a device; asking for it is the cheapest test.
        if tree.link_name(place + "/device") is None:
            continue
        speed = tree.integer(place + "/speed")
        address = pci.address_of(tree, place + "/device")
        carrier = tree.integer(place + "/carrier")
        found.append(
            {
                "name": name,
                "pci_address": address,
                "pci_id": pci.pci_id(tree, address) if address else None,
                "virtual_function": tree.link_name(place + "/device/physfn") is not None,
                "driver": tree.link_name(place + "/device/driver"),
                # A link that is down, and virtio, say -1.
                "speed_mbps": speed if speed is not None and 0 < speed < 2**31 else None,
                "state": tree.text(place + "/operstate"),
                # The kernel gives none for an interface that is switched off.
                "carrier": {0: False, 1: True}.get(carrier if carrier is not None else -1),
                "mtu": tree.integer(place + "/mtu"),
                "numa_node": pci.numa_node(tree, place + "/device"),
            }
        )
    return found
