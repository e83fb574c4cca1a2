# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all hosts together have, gathered host by host, so that the facts of thousands need not be held at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import verdicts


@dataclass(frozen=True)
class Gpu:
    """A GPU whose memory is known."""

    host: str
    size_bytes: float


def number(value: object) -> float | None:
    """Return a non-negative number, None for whatever else a file may have held."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e30
    return value if good else None  # type: ignore[return-value]


def card_bytes(card: dict[str, Any]) -> float | None:
    """Return a card's memory; a card in slices is as large as its largest slice: four of them are not four cards."""
    mig = card.get("mig")
    instances = mig.get("instances") if isinstance(mig, dict) and mig.get("enabled") else None
    sizes = [card.get("memory_bytes")]
    if isinstance(instances, list) and instances:
        sizes = [one.get("memory_bytes") for one in instances if isinstance(one, dict)]
    known = [size for size in map(number, sizes) if size is not None]
    return max(known, default=None)


class Stock:
    """GPUs of known memory; how many there may be beside them; hosts that say nothing; memory (bytes) and threads by host."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.gpus: list[Gpu] = []
        self.unmeasured = 0
        self.silent: list[str] = []
        self.memory: dict[str, float | None] = {}
        self.threads: dict[str, float | None] = {}
        # Most free space of one file system, in bytes; None while none is known.
        self.largest_space: float | None = None
        self.simulated = False

    def add(self, name: str, facts: object, error: str) -> None:
        """Count one host's facts in."""
        self.names.add(name)
        cards = facts.get("accelerators") if isinstance(facts, dict) else None
        if error or not isinstance(facts, dict) or not isinstance(cards, list):
            self.silent.append(name)
            return
        self.simulated = self.simulated or verdicts.is_simulated(facts)
        for card in cards:
            size = card_bytes(card) if isinstance(card, dict) else None
            if size is None:
                self.unmeasured += 1
            else:
                self.gpus.append(Gpu(name, size))
        for section, key, target in (("memory", "total_bytes", self.memory), ("cpu", "threads", self.threads)):
            part = facts.get(section)
            target[name] = number(part.get(key)) if isinstance(part, dict) else None
        mounts = facts.get("filesystems")
        for mount in mounts if isinstance(mounts, list) else []:
            space = number(mount.get("available_bytes")) if isinstance(mount, dict) else None
            if space is not None:
                self.largest_space = max(space, self.largest_space or 0)
