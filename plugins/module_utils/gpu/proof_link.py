# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The width of a card's PCI Express link. The generation is not judged: an idle card lowers it."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, WARN, row


def width(card: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """A link with fewer lanes than card and slot have is a fault; a slot that is narrower than its card is a warning.

    What the slot has comes from the facts of the PCI bus. A virtual machine does not see it: healthy cloud machines
    report 8 lanes of 16.
    """
    address = told["pci_address"]
    link, bus = told.get("link") or {}, card.get("link") or {}
    now = link.get("width") or bus.get("width")
    best = max(link.get("max_width") or 0, bus.get("max_width") or 0)
    if not now or not best:
        return row("link", SKIPPED, "the width of the link is not told", gpu=address)
    if now >= best:
        return row("link", PASS, f"{now} lanes", gpu=address)
    slot = bus.get("path_width") if told.get("virtualization") != "pass-through" else None
    if slot is None:
        return row("link", WARN, f"{now} lanes: the card has {best}, and what its slot has is not told", gpu=address)
    # The driver's own maximum is what card and slot have together.
    possible = min(best, slot, link.get("max_width") or best)
    if now >= possible:
        return row("link", WARN, f"{now} lanes: the card has {best}, its slot has not", gpu=address)
    mend = "Seat the card and its riser anew, and clean the contacts: lanes are lost there. Then run this again"
    return row("link", FAIL, f"{now} lanes", f"{possible}, as card and slot have", mend, address)
