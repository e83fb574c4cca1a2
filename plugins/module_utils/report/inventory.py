# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page shows of a host, out of its facts: small, so that thousands fit into memory. Facts come from machines: nothing raises."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.stock import number
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import gpu_class
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.verdicts import is_simulated, plain


def _part(facts: object, name: str) -> dict[str, Any]:
    part = facts.get(name) if isinstance(facts, dict) else None
    return part if isinstance(part, dict) else {}


def _items(facts: object, name: str) -> list[dict[str, Any]]:
    items = facts.get(name) if isinstance(facts, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _text(value: object) -> str:
    return plain(value) if isinstance(value, str) and value else ""


def _cards(facts: object) -> list[dict[str, Any]]:
    """Accelerators: name and class_gb (GB as sold; None where the memory is not known)."""
    cards = []
    for card in _items(facts, "accelerators"):
        size = number(card.get("memory_bytes"))
        name = _text(card.get("name")) or _text(card.get("pci_id"))
        cards.append({"name": name, "class_gb": gpu_class(size) if size else None})
    return cards


def summarize(host: dict[str, Any]) -> dict[str, Any]:
    """Return what a page says about one host: `host` is `{facts, profiles, error, planned}`."""
    facts = host.get("facts")
    system, cpu, memory = _part(facts, "system"), _part(facts, "cpu"), _part(facts, "memory")
    disks = _items(facts, "disks")
    sizes = [number(disk.get("size_bytes")) for disk in disks]
    speeds = [number(card.get("speed_mbps")) for card in _items(facts, "network")]
    return {
        "profiles": [plain(profile) for profile in host.get("profiles") or []],
        "error": plain(host.get("error") or "", 240),
        "planned": bool(host.get("planned")),
        "simulated": is_simulated(facts),
        "machine": " ".join(filter(None, [_text(system.get("vendor")), _text(system.get("product"))])),
        "cpu": _text(cpu.get("model")),
        "threads": number(cpu.get("threads")),
        "memory_bytes": number(memory.get("total_bytes")),
        "dimm_slots": number(memory.get("dimm_slots")),
        "dimms_populated": number(memory.get("dimms_populated")),
        "cards": _cards(facts),
        "nics_mbps": sorted((speed for speed in speeds if speed), reverse=True),
        "disks": len(disks),
        "disk_bytes": sum(size for size in sizes if size),
        "disks_free": sum(1 for disk in disks if disk.get("in_use") == []),
    }


def grouped_cards(summary: dict[str, Any]) -> list[tuple[int, str, float | None]]:
    """`(count, name, class_gb)` of the accelerators of a summary, the most first."""
    counts = Counter((card["name"], card["class_gb"]) for card in summary["cards"])
    return [(count, name, size) for (name, size), count in counts.most_common()]
