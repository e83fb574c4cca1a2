# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's notations for sets of CPUs and for sizes."""

from __future__ import annotations

import re

# More than any kernel is built for; a longer list is not one.
MAX_CPUS = 65536


def cpu_list(text: str | None) -> list[int] | None:
    """`0-3,8,10-11` as sorted numbers; None when it is no such list. An empty set is `[]`."""
    if text is None:
        return None
    found: set[int] = set()
    for part in text.split(","):
        part = part.strip()
        if not part:
            continue
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", part)
        if not match:
            return None
        first = int(match.group(1))
        last = int(match.group(2) or first)
        if last < first or last >= MAX_CPUS:
            return None
        found.update(range(first, last + 1))
    return sorted(found)


def cpu_mask(text: str | None) -> list[int] | None:
    """`00000000,00000003` as sorted numbers; None when it is no hexadecimal mask."""
    if text is None:
        return None
    digits = text.replace(",", "").strip()
    if not re.fullmatch(r"[0-9a-fA-F]{1,16384}", digits):
        return None
    value = int(digits, 16)
    return [bit for bit in range(value.bit_length()) if value >> bit & 1]


def chosen(text: str | None) -> str | None:
    """The word in brackets of `always [madvise] never`; None without one."""
    match = re.search(r"\[([\w-]{1,32})\]", text or "")
    return match.group(1) if match else None


def kib_fields(text: str | None) -> dict[str, int]:
    """`MemTotal:  1024 kB` lines (also with a `Node 0 ` prefix) as bytes by name."""
    fields: dict[str, int] = {}
    for line in (text or "").splitlines():
        match = re.match(r"(?:Node\s+\d+\s+)?([A-Za-z_()]+):\s+([0-9]{1,18})(?:\s+kB)?\s*$", line)
        if match:
            fields[match.group(1)] = int(match.group(2)) * 1024
    return fields
