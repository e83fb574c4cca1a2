# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory slots from the firmware's DMI table, or from what udev kept of it for users without root."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

TABLE = "/sys/firmware/dmi/tables/DMI"
UDEV = "/run/udev/data/+dmi:id"
TABLE_LIMIT_BYTES = 1 * MIB
MAX_STRUCTURES = 8192

# SMBIOS 3.6, 7.17.3: error correction of a memory array.
_ECC = {3: False, 4: False, 5: True, 6: True, 7: True}
# SMBIOS 3.6, 7.17.2: an array used as system memory.
_SYSTEM_MEMORY = 3


def structures(table: bytes) -> list[tuple[int, bytes]]:
    """(type, formatted part) of each structure; stops at the first one that is not whole."""
    found: list[tuple[int, bytes]] = []
    offset = 0
    while offset + 4 <= len(table) and len(found) < MAX_STRUCTURES:
        kind, length = table[offset], table[offset + 1]
        if length < 4 or offset + length > len(table) or kind == 127:
            break
        found.append((kind, table[offset : offset + length]))
        end = table.find(b"\0\0", offset + length)
        if end < 0:
            break
        offset = end + 2
    return found


def device_bytes(device: bytes) -> int | None:
    """Size of a memory device (type 17): 0 for an empty slot, None when the firmware does not know."""
    if len(device) < 0x0E:
        return None
    size = int.from_bytes(device[0x0C:0x0E], "little")
    if size == 0xFFFF:
        return None
    if size == 0x7FFF and len(device) >= 0x20:
        return (int.from_bytes(device[0x1C:0x20], "little") & 0x7FFFFFFF) * MIB
    return (size & 0x7FFF) * (1024 if size & 0x8000 else MIB)


def parse_table(table: bytes) -> dict[str, Any] | None:
    """Slots and error correction from a DMI table; None when it describes no memory."""
    ecc: list[bool] = []
    sizes: list[int | None] = []
    arrays: set[int] = set()
    for kind, body in structures(table):
        if kind == 16 and len(body) >= 0x07 and body[0x05] == _SYSTEM_MEMORY:
            arrays.add(int.from_bytes(body[2:4], "little"))
            if body[0x06] in _ECC:
                ecc.append(_ECC[body[0x06]])
        elif kind == 17 and len(body) >= 0x0E and (not arrays or int.from_bytes(body[4:6], "little") in arrays):
            # Other arrays are flash or video memory.
            sizes.append(device_bytes(body))
    return _summary(sizes, all(ecc) if ecc else None)


def parse_udev(text: str) -> dict[str, Any] | None:
    """The same from udev's `E:MEMORY_DEVICE_0_SIZE=…` lines (systemd 248 and newer; sizes in bytes)."""
    values = dict(re.findall(r"^E:MEMORY_([A-Z0-9_]{1,64})=(.{0,128})$", text, re.M))
    slots = [name for name in values if re.fullmatch(r"DEVICE_[0-9]{1,4}_(SIZE|PRESENT)", name)]
    numbers = sorted({int(name.split("_")[1]) for name in slots})
    sizes: list[int | None] = []
    for number in numbers:
        size = values.get(f"DEVICE_{number}_SIZE", "")
        if re.fullmatch(r"[0-9]{1,18}", size):
            sizes.append(int(size))
        else:
            sizes.append(0 if values.get(f"DEVICE_{number}_PRESENT") == "0" else None)
    correction = values.get("ARRAY_EC_TYPE")
    ecc = None
    if correction:
        ecc = "ECC" in correction or correction == "CRC" if correction not in ("Other", "Unknown") else None
    return _summary(sizes, ecc)


def _summary(sizes: list[int | None], ecc: bool | None) -> dict[str, Any] | None:
    if not sizes:
        return None
    populated = [size for size in sizes if size]
    whole = None not in sizes
    return {
        "ecc": ecc,
        "dimm_slots": len(sizes),
        "dimms_populated": sum(1 for size in sizes if size != 0),
        "dimm_sizes_bytes": sorted(populated) if whole else None,
    }


def read(tree: Tree) -> dict[str, Any] | None:
    """ecc, dimm_slots, dimms_populated and dimm_sizes_bytes; None when neither source can be read."""
    table = tree.data(TABLE, TABLE_LIMIT_BYTES)
    found = parse_table(table) if table else None
    if found is None:
        found = parse_udev(tree.text(UDEV, 1 * MIB) or "")
    return found
