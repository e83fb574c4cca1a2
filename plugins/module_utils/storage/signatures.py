# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written on a device: signatures by wipefs, and the size of a file system from its superblock."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

# The first bytes of a device, enough for the superblocks below.
HEAD_BYTES = 4096
ARRAY_MEMBER = "linux_raid_member"
GROUP_MEMBER = "LVM2_member"
FILE_SYSTEMS = ("xfs", "ext4")


@dataclass(frozen=True)
class Signature:
    """One signature. `label` of an array's member is `HOST:ARRAY`, `uuid` is the array's."""

    type: str
    label: str = ""
    uuid: str = ""


@dataclass(frozen=True)
class FileSystem:
    """Type, UUID and size in bytes as the superblock has them; half_made where mkfs did not come to its end."""

    type: str
    uuid: str
    size_bytes: int
    half_made: bool = False


def parse_wipefs(text: str) -> dict[str, list[Signature]]:
    """Return the signatures by kernel name, from `wipefs --json`; without any, wipefs prints nothing."""
    found: dict[str, list[Signature]] = {}
    for entry in (json.loads(text) if text.strip() else {}).get("signatures", []):
        signature = Signature(entry.get("type") or "", entry.get("label") or "", entry.get("uuid") or "")
        signatures = found.setdefault(entry["device"], [])
        # A partition table has a copy at the disk's end, ext4's magic number is told once: one line each is enough.
        if signature not in signatures:
            signatures.append(signature)
    return found


def parse_superblock(head: bytes, signature: Signature) -> FileSystem | None:
    """Return what the first bytes of a device say of an xfs or ext4 file system; None for any other.

    xfs: fs/xfs/libxfs/xfs_format.h, struct xfs_dsb (big endian): blocksize at 4, dblocks at 8, inprogress at 126. mkfs.xfs
    clears the last one as its last write. ext4: fs/ext4/ext4.h, struct ext4_super_block at 1024 (little endian): blocks at
    4 and 0x150, log2 of blocksize/1024 at 24. mke2fs writes its superblock last, so that a half-made one is not seen at all.
    """
    if signature.type == "xfs" and head[:4] == b"XFSB" and len(head) >= 127:
        block_size, blocks = struct.unpack_from(">IQ", head, 4)
        return FileSystem("xfs", signature.uuid, block_size * blocks, head[126] != 0)
    if signature.type == "ext4" and len(head) >= 1024 + 0x154:
        (low,) = struct.unpack_from("<I", head, 1024 + 4)
        (log_size,) = struct.unpack_from("<I", head, 1024 + 24)
        (high,) = struct.unpack_from("<I", head, 1024 + 0x150)
        return FileSystem("ext4", signature.uuid, (high << 32 | low) * (1024 << min(log_size, 6)))
    return None
