# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which facts are missing: each None needs an entry that says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def missing(value: Any, fact: str, named_by: Callable[[str], Sequence[str]]) -> Iterator[str]:
    """The dotted names of all None values below `fact` (empty for all facts), as `disks[sda].model`.

    named_by: for the name of a list, the keys that may identify one of its records, most telling first; a record without any of
    them, and whatever else a list holds, is named by its number.
    """
    if value is None:
        yield fact
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from missing(part, f"{fact}.{name}" if fact else name, named_by)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            known = [part[key] for key in named_by(fact) if part.get(key) is not None] if isinstance(part, dict) else []
            yield from missing(part, f"{fact}[{known[0] if known else index}]", named_by)
