# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and purchases in words."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.report.words import Words
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import units


def binary(words: Words, size: float | None) -> str:
    """Bytes of memory: `503.2 GiB`, `1.5 TiB`."""
    if size is None:
        return words("unknown")
    unit, base = ("TiB", 2**40) if size >= 2**40 else ("GiB", 2**30)
    return words.amount(units.shown(size / base, unit))


def decimal(words: Words, size: float | None) -> str:
    """Bytes of storage, as disks are sold: `3.8 TB`."""
    if size is None:
        return words("unknown")
    unit, base = ("TB", 10**12) if size >= 10**12 else ("GB", 10**9)
    return words.amount(units.shown(size / base, unit))


def rate(words: Words, bits_per_second: float) -> str:
    return words.amount(units.shown(bits_per_second / 10**9, "Gb/s"))


def _gpu(words: Words, option: dict[str, Any]) -> str:
    if option["class_gb"] is None:
        return words.counted("buy.gpu", option["count"])
    key = "buy.gpu_replace" if option["replace"] else "buy.gpu_class"
    return words.counted(key, option["count"], size=f"{option['class_gb']:.0f}")


def purchase(words: Words, entry: dict[str, Any]) -> str:
    """What to buy, in words; `entry` as sizing.purchases has it."""
    item = entry["item"]
    if item == "gpu":
        return words("buy.or").join(_gpu(words, option) for option in entry["options"])
    if item == "nic":
        return words("buy.nic", count=entry["count"], rate=rate(words, entry["bits_per_second"]))
    if item == "storage":
        key = "buy.storage_at" if entry["at"] else "buy.storage"
        return words(key, size=decimal(words, entry["size_bytes"]), at=entry["at"])
    if item == "server":
        return words("buy.server", count=entry["threads"])
    text = (
        words("buy.memory", size=binary(words, entry["size_bytes"]))
        if item == "memory"
        else words.counted("buy.dimm", entry["count"])
    )
    free = entry.get("slots_free")
    return text + (words.counted("buy.slots", int(free)) if free is not None else "")
