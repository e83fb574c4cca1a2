# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects of xfs quotas: /etc/projects and /etc/projid with our part in them, and the limits that the kernel holds."""

from __future__ import annotations

import ctypes
import hashlib
import struct
from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.storage.places import Mounted

PROJECTS = "/etc/projects"
PROJID = "/etc/projid"
BEGIN = "# BEGIN mlops.onprem (role storage): changes up to END are overwritten"
END = "# END mlops.onprem (role storage)"
# Away from the small numbers that people give by hand.
FIRST_ID = 0x10000
IDS = 0x40000000
# linux/dqblk_xfs.h and linux/quota.h: the command Q_XGETQUOTA for a project; limits count blocks of 512 bytes.
_QUERY = ((ord("X") << 8) + 3) << 8 | 2
_BLOCK_BYTES = 512
_STRUCT_BYTES = 112


class Plan(NamedTuple):
    """The number of each path, paths that have a project of ours and are wanted no more, and the files' new texts.

    A text is None where the file stays as it is.
    """

    ids: dict[str, int]
    dropped: list[str]
    projects: str | None
    projid: str | None


def plan(paths: list[str], projects: str, projid: str) -> Plan:
    """Give each path a project: the number that it has, or one made from its name that nobody else uses.

    The same paths get the same numbers on every host, unless a number is taken there.
    """
    foreign_projects, ours = _split(projects)
    foreign_projid, _mine = _split(projid)
    known = {path: int(number) for number, _colon, path in (line.partition(":") for line in ours) if number.isdigit()}
    taken = {int(number) for number in (line.split(":")[0] for line in foreign_projects) if number.strip().isdigit()}
    taken |= {int(number) for number in (line.split(":")[-1] for line in foreign_projid) if number.strip().isdigit()}
    ids: dict[str, int] = {}
    for path in paths:
        number = known.get(path, 0)
        if not number or number in taken:
            number = FIRST_ID + int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big") % IDS
            while number in taken:
                number += 1
        taken.add(number)
        ids[path] = number
    new_projects = _joined(foreign_projects, [f"{ids[path]}:{path}" for path in paths])
    new_projid = _joined(foreign_projid, [f"{path}:{ids[path]}" for path in paths])
    dropped = sorted(set(known) - set(paths))
    return Plan(
        ids,
        dropped,
        new_projects if new_projects != projects and (paths or known) else None,
        new_projid if new_projid != projid and (paths or known) else None,
    )


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return (the lines of others, our lines)."""
    others: list[str] = []
    ours: list[str] = []
    inside = False
    for line in text.splitlines():
        if line == BEGIN:
            inside = True
        elif line == END:
            inside = False
        else:
            (ours if inside else others).append(line)
    return others, ours


def _joined(others: list[str], ours: list[str]) -> str:
    block = [BEGIN, *ours, END] if ours else []
    return "".join(f"{line}\n" for line in others + block)


def limit(top: str, table: list[Mounted], project: int) -> int | None:
    """Return the most bytes that a project may take on the file system mounted at `top`; None where there is no limit."""
    mount = next((mount for mount in reversed(table) if mount.path == top), None)
    if mount is None:
        return None
    answer = ctypes.create_string_buffer(_STRUCT_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.quotactl(ctypes.c_int(_QUERY), mount.source.encode(), ctypes.c_int(project), answer) != 0:
        return None
    # d_version, d_flags, d_fieldmask, d_id, d_blk_hardlimit
    hard: int = struct.unpack_from("=bbHIQ", answer.raw)[4]
    return hard * _BLOCK_BYTES or None
