# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a mounted xfs file system is, from the kernel: the superblock on the disk is written late and tells of earlier days."""

from __future__ import annotations

import fcntl
import os
import struct

# linux/fs/xfs/libxfs/xfs_fs.h: XFS_IOC_FSGEOMETRY_V1 is _IOR('X', 100, struct xfs_fsop_geom_v1) of 112 bytes, which every kernel has;
# blocksize is its first field, datablocks the first of 64 bits.
GEOMETRY = 0x80705864
LENGTH = 112
DATA_BLOCKS_AT = 32


def size_at(mount: str) -> int | None:
    """Return the bytes of the file system that is mounted there; None where the kernel does not tell."""
    geometry = bytearray(LENGTH)
    try:
        handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.ioctl(handle, GEOMETRY, geometry)
    except OSError:
        return None
    finally:
        os.close(handle)
    (block_size,) = struct.unpack_from("=I", geometry)
    (blocks,) = struct.unpack_from("=Q", geometry, DATA_BLOCKS_AT)
    return int(block_size * blocks) or None
