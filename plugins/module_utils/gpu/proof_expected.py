# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs that must answer, from the PCI bus as it was before, and whether those that the driver reports are these."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, UNKNOWN, WARN, row
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table

_REMEDIES = {
    "nvidia": (
        "The card is on the PCI bus and the driver did not take it: look for its address in `dmesg | grep -i nvrm`, "
        "check its power cables and its seat, and update the server's firmware; a cold start (power off, not reboot) "
        "often brings it back. Then run this again"
    ),
    "amd": (
        "The card is on the PCI bus and amdgpu did not take it: look for its address in `dmesg | grep -i amdgpu`, check "
        "its power and its seat; a cold start (power off, not reboot) often brings it back. Then run this again"
    ),
}


def cards(hardware: dict[str, Any], vendor: str) -> list[dict[str, Any]]:
    """The accelerators of one vendor in the facts, in the order of their addresses."""
    found = [card for card in hardware.get("accelerators") or [] if card.get("vendor") == vendor]
    return sorted(found, key=lambda card: str(card.get("pci_address")))


def presence(expected: list[dict[str, Any]], told: dict[str, dict[str, Any]], vendor: str) -> list[dict[str, Any]]:
    """One row for each card of the bus and each that only the driver knows, and one for the count."""
    rows = []
    missing = [card["pci_address"] for card in expected if card["pci_address"] not in told]
    count = f"{len(expected) - len(missing)} of {len(expected)} GPUs answer"
    if missing:
        found = f"{count}, missing: {', '.join(str(address) for address in missing)}"
        rows.append(row("count", FAIL, found, remedy=_REMEDIES[vendor]))
    else:
        rows.append(row("count", PASS, count))
    known = {card["pci_address"] for card in expected}
    for address in sorted(set(told) - known):
        rows.append(
            row(
                "count",
                WARN,
                "the driver reports a GPU that the facts from before do not have",
                remedy="If it was plugged in while this ran, run this again",
                gpu=address,
            )
        )
    return rows


def model(card: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Whether the card that answers at an address is the one that the bus showed there."""
    address, before, now = card["pci_address"], card.get("pci_id"), told.get("pci_id")
    name = told.get("name") or card.get("name") or str(before)
    if now is None or before is None:
        return row("model", UNKNOWN, f"{name}: its PCI id is not told", gpu=address)
    if now != before:
        return row(
            "model",
            FAIL,
            f"{name} ({now})",
            f"{card.get('name') or 'the card'} ({before}), as the PCI bus said",
            "The driver and the bus disagree about this card: start the server cold (power off) and run this again",
            address,
        )
    return row("model", PASS, name, gpu=address)


def memory_class(card: dict[str, Any]) -> int | None:
    """What the card is sold with, in GB, from what no driver said; None where nothing tells."""
    known = accelerator_table.MODELS.get(card.get("pci_id") or "")
    if known and known.memory_class_gb:
        return known.memory_class_gb
    if card.get("memory_source") in ("pci_id", "name"):
        return card.get("memory_class_gb")
    return None


def memory(card: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """Whether a card has the memory that it is sold with. Drivers report up to 8 % less, which is no fault."""
    address, found = card["pci_address"], told.get("memory_bytes")
    if card.get("unified_memory"):
        return row("memory", SKIPPED, "it uses the host's memory", gpu=address)
    if told.get("virtualization") == "vgpu":
        return row("memory", SKIPPED, "a virtual GPU has a share of its card's memory", gpu=address)
    if not found:
        return row("memory", UNKNOWN, "the driver does not tell its memory", gpu=address)
    gib = f"{found / 2**30:.1f} GiB"
    remedy = "Memory is missing: the card is broken or its firmware is wrong. Have it replaced"
    wanted = memory_class(card)
    if wanted is None:
        bracket = card.get("memory_bracket_bytes")
        if bracket and found > bracket["at_most"]:
            return row("memory", FAIL, gib, f"at most {bracket['at_most'] / 2**30:.0f} GiB", remedy, address)
        return row("memory", PASS, f"{accelerator_table.memory_class(found)} GB", gpu=address)
    if accelerator_table.memory_class(found, wanted) != wanted:
        return row("memory", FAIL, gib, f"{wanted} GB, as the model has", remedy, address)
    return row("memory", PASS, f"{wanted} GB", gpu=address)


def since_last(
    last: dict[str, Any] | None, told: dict[str, dict[str, Any]], missing: set[str], file: str
) -> list[dict[str, Any]]:
    """Whether a card is gone that the last proof saw: one that left the PCI bus is in no facts of today.

    Cards are known by their UUID, since an address changes where another card is plugged in.
    """
    listed = (last or {}).get("gpus")
    before = [
        card for card in (listed if isinstance(listed, list) else []) if isinstance(card, dict) and card.get("uuid")
    ]
    now = {card.get("uuid") for card in told.values()}
    gone = [card for card in before if card["uuid"] not in now and card.get("pci_address") not in missing]
    if not gone:
        return []
    names = ", ".join(f"{card.get('pci_address')} ({card.get('name')}, {card['uuid']})" for card in gone)
    # Those that do not answer have rows of their own.
    if len(told) + len(missing) >= len(before):
        return [row("since last", WARN, f"replaced since the last proof: {names}")]
    return [
        row(
            "since last",
            FAIL,
            f"gone from the PCI bus since the last proof: {names}",
            remedy=(
                "Check the card's seat and power, and start the server cold (power off). If it was taken out on purpose, "
                f"delete {file} on the host. Then run this again"
            ),
        )
    ]
