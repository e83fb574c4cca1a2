# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Software RAID (md): which arrays there are, of which devices, and whether one runs without all of its copies."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

BLOCK = "/sys/block"
MDSTAT = "/proc/mdstat"
SOURCES = {"*": BLOCK, "arrays": BLOCK, "degraded_arrays": BLOCK}
# Levels without a copy of anything: they cannot be degraded, only broken, and the kernel has no count for them.
_NO_COPY = frozenset({"raid0", "linear", "container", "faulty"})


def read(tree: Tree) -> dict[str, Any]:
    """The `raid` facts: arrays (name, level, state, members, degraded: missing members) and degraded_arrays.

    degraded_arrays is None when an array with copies does not tell.
    """
    arrays = []
    for name in tree.names(BLOCK):
        if not re.fullmatch(r"md(_?d?[0-9]{1,7}|_[\w.-]{1,64})", name):
            continue
        place = f"{BLOCK}/{name}"
        level = tree.text(place + "/md/level")
        missing = tree.integer(place + "/md/degraded")
        if level in _NO_COPY:
            missing = 0
        arrays.append(
            {
                "name": name,
                "level": level,
                "state": tree.text(place + "/md/array_state"),
                "members": tree.names(place + "/slaves"),
                "degraded": missing if missing is not None and missing >= 0 else None,
            }
        )
    counts = [array["degraded"] for array in arrays]
    known = None not in counts and bool(tree.names(BLOCK))
    return {"arrays": arrays, "degraded_arrays": sum(1 for count in counts if count) if known else None}
