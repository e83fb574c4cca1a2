# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The width of a card's PCI Express link. The generation is not judged: an idle card lowers it."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, WARN, row


def width(card: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """A link with fewer lanes than card and slot have is a fault; a slot that is narrower than its card is a warning."""
    address = told["pci_address"]
    link, bus = told.get("link") or {}, card.get("link") or {}
    now = link.get("width") or bus.get("width")
    most = link.get("max_width") or bus.get("max_width")
    slot = bus.get("path_width")
    if not now or not most:
        return row("link", SKIPPED, "the width of the link is not told", gpu=address)
    possible = min(most, slot) if slot else most
    if now < possible:
        mend = "Seat the card and its riser anew, and clean the contacts: lanes are lost there. Then run this again"
        return row("link", FAIL, f"{now} lanes", f"{possible}, as card and slot have", mend, address)
    best = max(most, bus.get("max_width") or 0)
    if now < best:
        return row("link", WARN, f"{now} lanes: the card has {best}, its slot has not", gpu=address)
    return row("link", PASS, f"{now} lanes", gpu=address)
