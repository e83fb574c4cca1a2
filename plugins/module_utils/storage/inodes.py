# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a directory is: owner, mode, the immutable flag and the project of its quota."""

from __future__ import annotations

import array
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

# linux/fs.h, for x86-64 and 64-bit Arm: struct fsxattr is five 32-bit numbers and 8 bytes of padding.
FS_IOC_FSGETXATTR = 0x801C581F
FS_IOC_GETFLAGS = 0x80086601
FS_XFLAG_IMMUTABLE = 0x8
FS_XFLAG_PROJINHERIT = 0x200
FS_IMMUTABLE_FL = 0x10


class Inode(NamedTuple):
    """`immutable` is None where the file system has no such flag, `project` where files do not inherit one."""

    uid: int
    gid: int
    mode: int
    immutable: bool | None
    project: int | None


def read(path: str) -> Inode | str | None:
    """Return what is at a path: None for nothing, a sentence for what is no directory or cannot be opened."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if stat.S_ISLNK(found.st_mode):
        return f"it is a link to {Path(path).readlink()}; name the directory itself"
    if not stat.S_ISDIR(found.st_mode):
        return "there is something at this path that is no directory; move it away"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"it cannot be opened: {error.strerror}"
    try:
        immutable, project = _flags(handle)
    finally:
        os.close(handle)
    return Inode(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), immutable, project)


def _flags(handle: int) -> tuple[bool | None, int | None]:
    try:
        data = fcntl.ioctl(handle, FS_IOC_FSGETXATTR, bytes(28))
        flags, _extent, _extents, project = struct.unpack_from("=4I", data)
        return bool(flags & FS_XFLAG_IMMUTABLE), project if flags & FS_XFLAG_PROJINHERIT else None
    except OSError:
        pass
    try:
        value = array.array("l", [0])
        fcntl.ioctl(handle, FS_IOC_GETFLAGS, value, True)
        return bool(value[0] & FS_IMMUTABLE_FL), None
    except OSError:
        return None, None
