# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's drawings as inline SVG and HTML. Each colour has a sign and a word beside it, for eyes that do not tell red from green."""

from __future__ import annotations

from html import escape
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.report.words import Words

# Worst first. The sign is drawn on the colour.
SIGNS = {"error": "✗", "fail": "✗", "warn": "!", "unknown": "?", "info": "i", "pass": "✓", "skipped": "–"}
RANKS = {status: rank for rank, status in enumerate(SIGNS)}
# Squares a row in the rack, and a host's box.
SQUARES = 8
BOX_WIDTH, BOX_HEIGHT, GAP = 150, 66, 8
BOXES_A_ROW = 7


def worst(statuses: list[str]) -> str:
    """The status that a host is coloured by; what does not apply colours nothing."""
    return min((status for status in statuses if status != "skipped"), key=lambda one: RANKS[one], default="pass")


def badge(words: Words, status: str, waived: bool = False) -> str:
    """Sign and word in the status's colour."""
    more = f", {words('waived')}" if waived else ""
    return f'<span class="s {status}">{SIGNS[status]} {escape(words("status." + status))}{escape(more)}</span>'


def gauge(words: Words, need: float, have: float, label: str) -> str:
    """A bar of what there is with a mark at what is needed, both of the larger one; the numbers stand in the label."""
    most = max(need, have, 1e-9)
    kind = "pass" if have >= need else "fail"
    return (
        f'<svg class="bar" viewBox="0 0 200 14" role="img" aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f'<rect class="ground" width="200" height="14" rx="2"/><rect class="{kind}" width="{200 * have / most:.1f}" height="14" rx="2"/>'
        f'<line x1="{min(199.0, 200 * need / most):.1f}" x2="{min(199.0, 200 * need / most):.1f}" y1="0" y2="14"/></svg>'
    )


def _box(
    words: Words, name: str, summary: dict[str, Any], status: str, largest: float, place: str, at: tuple[int, int]
) -> str:
    left, top = at
    memory = summary["memory_bytes"] or 0
    marks = [words(key) for key in ("simulated", "planned") if summary[key]]
    title = ", ".join([f"{name}: {words('status.' + status)}", *marks])
    squares = "".join(
        f'<rect class="gpu" x="{8 + 13 * (index % SQUARES)}" y="{24 + 13 * (index // SQUARES)}" width="11" height="11"/>'
        for index in range(min(len(summary["cards"]), 2 * SQUARES))
    )
    shown = name if len(name) <= 17 else name[:16] + "…"
    return (
        f'<a href="{escape(place)}"><g transform="translate({left},{top})"><title>{escape(title)}</title>'
        f'<rect class="box {status}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4"/>'
        f'<text x="8" y="16">{SIGNS[status]} {escape(shown)}</text>{squares}'
        f'<rect class="ground" x="8" y="54" width="134" height="5"/>'
        f'<rect class="memory" x="8" y="54" width="{134 * memory / largest if largest else 0:.1f}" height="5"/></g></a>'
    )


def rack(words: Words, hosts: list[tuple[str, dict[str, Any], str, str]]) -> str:
    """All hosts as boxes: `(name, summary, status, link)`. Squares are accelerators, the bar is memory."""
    if not hosts:
        return ""
    largest = max((summary["memory_bytes"] or 0 for _name, summary, _status, _place in hosts), default=0)
    boxes = []
    for index, (name, summary, status, place) in enumerate(hosts):
        at = ((index % BOXES_A_ROW) * (BOX_WIDTH + GAP), (index // BOXES_A_ROW) * (BOX_HEIGHT + GAP))
        boxes.append(_box(words, name, summary, status, largest, place, at))
    rows = -(-len(hosts) // BOXES_A_ROW)
    columns = min(len(hosts), BOXES_A_ROW)
    width, height = columns * (BOX_WIDTH + GAP) - GAP, rows * (BOX_HEIGHT + GAP) - GAP
    return (
        f'<svg class="rack" viewBox="-1 -1 {width + 2} {height + 2}" style="max-width:{width}px" role="img" '
        f'aria-label="{escape(words("fleet"))}">{"".join(boxes)}</svg>'
    )


def field(words: Words, hosts: list[tuple[str, str, str]]) -> str:
    """Very many hosts as one small square each: `(name, status, link)`, a hundred a row."""
    squares = "".join(
        f'<a href="{escape(place)}"><rect class="{status}" x="{10 * (index % 100)}" y="{10 * (index // 100)}" width="8" height="8">'
        f"<title>{escape(name)}: {escape(words('status.' + status))}</title></rect></a>"
        for index, (name, status, place) in enumerate(hosts)
    )
    height = 10 * -(-len(hosts) // 100)
    return f'<svg class="rack" viewBox="0 0 1000 {height}" role="img" aria-label="{escape(words("fleet"))}">{squares}</svg>'
