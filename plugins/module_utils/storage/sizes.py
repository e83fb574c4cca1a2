# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them. GiB is 2^30 and GB is 10^9, as on the box of a disk (IEC 80000-13)."""

from __future__ import annotations

import re
from fractions import Fraction

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import BYTES, UNITS

KIB = 2**10
MIB = 2**20
GIB = 2**30
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGTP]i?B|B)")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


def to_bytes(text: str) -> int:
    """Return how many bytes a text such as `1.5 TB` or `512KiB` is; ValueError says what is wrong with it."""
    match = _SIZE.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"'{text}' is no size; write a number and a unit, as 500 GiB or 1.5 TB")
    unit = "kB" if match.group(2) == "KB" else match.group(2).replace("ki", "Ki")
    # Exact, and of any length: a float has neither.
    return int(Fraction(match.group(1)) * int(UNITS[BYTES][unit]))


def percent(text: str) -> float | None:
    """Return the number of a percentage such as `60%`, or None where the text is none."""
    match = _PERCENT.fullmatch(str(text).strip())
    return float(match.group(1)) if match else None


def shown(size: float) -> str:
    """Return bytes as a person reads them: `931 GiB`, `3.6 TiB`, `512 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    text = f"{size:.0f}" if unit == "B" or size >= 100 else f"{size:.1f}"
    return f"{text[:-2] if text.endswith('.0') else text} {unit}"
