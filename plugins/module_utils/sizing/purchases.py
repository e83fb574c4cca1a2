# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to buy, out of the rows that are not met: one entry for each thing and place.

A row's `purchase` is None or `{item, ...}`; sizes are in bytes, rates in bit/s:

    gpu       options: [{count, class_gb, replace}], one of which would do; class_gb None where any would; replace: in place of others
    memory    size_bytes more; slots_free where the firmware tells
    dimm      count of modules; slots_free
    nic       count, bits_per_second
    storage   size_bytes more, at (a path)
    server    threads: a processor cannot be added, so this is another server
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import units

Purchase = dict[str, Any]
ORDER = ("gpu", "memory", "dimm", "nic", "storage", "server")
_MEMORY = ("memory.total_bytes", "memory.installed_bytes")


def _whole(amount: float) -> int:
    # 1.0000000001 GPUs are one.
    return max(1, math.ceil(amount - 1e-6))


def _free_slots(facts: object) -> int | None:
    memory = facts.get("memory") if isinstance(facts, dict) else None
    slots, used = (memory.get(key) if isinstance(memory, dict) else None for key in ("dimm_slots", "dimms_populated"))
    return slots - used if isinstance(slots, int) and isinstance(used, int) and slots >= used else None


def of_requirement(requirement: dict[str, Any], found: Any, facts: object) -> Purchase | None:
    """Return what would mend a row that is not met, or None where nothing that is sold would.

    `found`: the reading in base units, as the verdict has it; only amounts that are too small can be bought for.
    """
    path, value = requirement["fact"], requirement["value"]
    if path == "memory.dimms_missing":
        return {"item": "dimm", "count": _whole(found), "slots_free": _free_slots(facts)}
    if requirement["operator"] not in (">=", ">") or isinstance(value, (str, bool, list)):
        return None
    base = value * units.scale(requirement)
    have = min(found, default=0) if isinstance(found, list) else found
    if path == "accelerators[]":
        return {"item": "gpu", "options": [{"count": _whole(base - have), "class_gb": None, "replace": False}]}
    if path == "accelerators[].memory_bytes":
        cards = facts.get("accelerators") if isinstance(facts, dict) else None
        small = [card for card in cards or [] if units.gpu_class(card["memory_bytes"]) < value]
        count = 1 if requirement.get("aggregate") == "max" else len(small)
        return {"item": "gpu", "options": [{"count": max(1, count), "class_gb": value, "replace": True}]}
    if path in _MEMORY:
        return {"item": "memory", "size_bytes": base - have, "slots_free": _free_slots(facts)}
    if path == "network[].speed_mbps":
        return {"item": "nic", "count": 1, "bits_per_second": base}
    if path == "filesystems[].available_bytes":
        return {"item": "storage", "size_bytes": base - have, "at": requirement.get("at", "")}
    if path in ("cpu.threads", "cpu.cores"):
        return {"item": "server", "threads": _whole(base)}
    return None


def _key(purchase: Purchase, row: dict[str, Any]) -> tuple[Any, ...]:
    # Each workload's GPUs are an entry of their own: they may be bought for one and not for another.
    own = row["check"] if row["host"] == "(fleet)" else ""
    return (row["host"], purchase["item"], purchase.get("at", ""), own)


def _size(purchase: Purchase) -> float:
    if purchase["item"] == "gpu":
        first = purchase["options"][0]
        return (first["class_gb"] or 0) * 10**6 + float(first["count"])
    return float(
        next(purchase[key] for key in ("size_bytes", "bits_per_second", "threads", "count") if key in purchase)
    )


def purchases(rows: Iterable[dict[str, Any]]) -> list[Purchase]:
    """Return the list to buy: `{host, checks, severity, **purchase}`, the largest of what several checks ask of one place.

    Waived rows are left out: somebody decided to live with them.
    """
    best: dict[tuple[Any, ...], Purchase] = {}
    for row in rows:
        purchase = row.get("purchase")
        if not purchase or row["waived_by"] or row["status"] not in ("fail", "warn"):
            continue
        key = _key(purchase, row)
        known = best.get(key)
        checks = [*known["checks"], row["check"]] if known else [row["check"]]
        hard = row["status"] == "fail" or bool(known and known["severity"] == "fail")
        if known is None or _size(purchase) > _size(known):
            known = {"host": row["host"], **purchase}
        best[key] = {**known, "checks": checks, "severity": "fail" if hard else "warn"}
    return sorted(best.values(), key=lambda entry: (entry["severity"], ORDER.index(entry["item"]), entry["host"]))
