# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount table, as the kernel writes it."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

MOUNTINFO = "/proc/self/mountinfo"
MOUNTS = "/proc/mounts"
TABLE_LIMIT_BYTES = 4 * MIB


class Mount(NamedTuple):
    """One mount: device number (`254:0`; empty where the table has none), place, type, device."""

    number: str
    mount: str
    type: str
    device: str


def plain(text: str) -> str:
    """A field without the table's octal escapes (`\\040` for a space)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def parse_mountinfo(text: str | None) -> list[Mount]:
    """The lines of mountinfo, in order; a line of another form is left out."""
    found = []
    for line in (text or "").splitlines():
        head, dash, tail = line.partition(" - ")
        fields, end = head.split(" "), tail.split(" ")
        if dash and len(fields) >= 6 and len(end) >= 2:
            found.append(Mount(fields[2], plain(fields[4]), end[0], plain(end[1])))
    return found


def parse_mounts(text: str | None) -> list[Mount]:
    """The lines of /proc/mounts, which old records hold in place of mountinfo."""
    lines = [line.split(" ") for line in (text or "").splitlines()]
    return [Mount("", plain(line[1]), line[2], plain(line[0])) for line in lines if len(line) >= 4]


def read(tree: Tree) -> list[Mount]:
    """All mounts; the last one on a place is the one that is seen there."""
    text = tree.text(MOUNTINFO, TABLE_LIMIT_BYTES)
    if text:
        return parse_mountinfo(text)
    return parse_mounts(tree.text("/proc/self/mounts", TABLE_LIMIT_BYTES) or tree.text(MOUNTS, TABLE_LIMIT_BYTES))
