# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths as this role takes them, and the mount that holds one."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import plain

# No spaces, quotes, wildcards or percent signs: the path stands in fstab, exports, tmpfiles.d and units.
_PATH = re.compile(r"(/[A-Za-z0-9._@+:-]+)+")
REMOTE = ("nfs", "cifs", "smb", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "9p", "afs", "wekafs", "fuse.sshfs")


class Mounted(NamedTuple):
    """One line of mountinfo: place, type, source, and the options of the mount and of the file system together."""

    path: str
    type: str
    source: str
    options: frozenset[str]


def is_plain(path: str) -> bool:
    """Whether a path is absolute, without spaces and special characters, and without `.` and `..`."""
    return bool(_PATH.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def is_below(path: str, top: str) -> bool:
    """Whether a path lies below `top`, and is not `top` itself."""
    return path != top and path.startswith(top.rstrip("/") + "/")


def is_within(path: str, top: str) -> bool:
    """Whether a path is `top` or lies below it."""
    return path == top or is_below(path, top)


def parse(mountinfo: str) -> list[Mounted]:
    """Return the lines of /proc/self/mountinfo in order (proc(5)); a line of another form is left out."""
    found = []
    for line in mountinfo.splitlines():
        head, dash, tail = line.partition(" - ")
        fields, end = head.split(" "), tail.split(" ")
        if dash and len(fields) >= 6 and len(end) >= 3:
            options = frozenset(fields[5].split(",")) | frozenset(end[2].split(","))
            found.append(Mounted(plain(fields[4]), end[0], plain(end[1]), options))
    return found


def holder(path: str, table: list[Mounted]) -> Mounted | None:
    """Return the mount that a path is on: the longest place above it, of several at one place the last."""
    best: Mounted | None = None
    for mount in table:
        if is_within(path, mount.path) and (best is None or len(mount.path) >= len(best.path)):
            best = mount
    return best


def is_remote(mount: Mounted | None) -> bool:
    """Whether asking this mount may wait for another computer."""
    return mount is not None and (mount.type.startswith(REMOTE) or mount.type == "autofs")
