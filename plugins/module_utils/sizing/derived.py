# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that follow from others and are worth a requirement of their own. None where an input is missing."""

from __future__ import annotations

from typing import Any, Callable


def dimms_missing(facts: dict[str, Any]) -> int | None:
    """Return how many modules the board lacks for one in every second slot, 0 where none.

    Server boards have one or two slots a memory channel, and a channel without a module adds no bandwidth: with fewer modules than
    half of the slots, some channel is certainly empty. On a board with one slot a channel more may be missing than is counted here.
    """
    slots, used = _count(facts, "dimm_slots"), _count(facts, "dimms_populated")
    return None if slots is None or used is None else max(0, (slots + 1) // 2 - used)


def _count(facts: dict[str, Any], key: str) -> int | None:
    memory = facts.get("memory")
    count = memory.get(key) if isinstance(memory, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 10**6 else None


DERIVED: dict[str, Callable[[dict[str, Any]], Any]] = {"memory.dimms_missing": dimms_missing}
