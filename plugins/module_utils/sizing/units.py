# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units, and the nominal classes in which GPU memory is sold.

GiB is 2^30 and GB is 10^9 (IEC 80000-13): the two are told apart everywhere. "GB class" is the exception that trade makes:
a card sold as "80 GB" has 80 GiB less what ECC and the firmware keep (an H100 reports 81559 MiB, 0.4 % less; a T4 sold
as 16 GB reports 15360 MiB, 6.3 % less), so cards are compared by class and never by bytes.
"""

from __future__ import annotations

from typing import Any

BYTES = "bytes"
BITS_PER_SECOND = "bits_per_second"
COUNT = "count"
GPU_MEMORY = "gpu_memory"

GIB = 2**30

# dimension -> unit -> how many base units (bytes, bit/s, pieces) it is
UNITS: dict[str, dict[str, float]] = {
    BYTES: {
        "B": 1,
        "kB": 10**3,
        "MB": 10**6,
        "GB": 10**9,
        "TB": 10**12,
        "PB": 10**15,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
        "TiB": 2**40,
        "PiB": 2**50,
    },
    BITS_PER_SECOND: {"bit/s": 1, "Mb/s": 10**6, "Gb/s": 10**9},
    GPU_MEMORY: {"GB class": 1},
    COUNT: {},
}

# Sizes that accelerators are sold in (GB on the box). MI300A 128, H200 141, B200 180, MI300X 192, MI325X 256, B300 288.
GPU_CLASSES_GB = (2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 144, 180, 192, 256, 288)
# The most that a recorded card lacks of its class is 6.3 % (T4, A10G).
GPU_CLASS_LACK = 0.07
# A driver may report a trifle more than the class; the nearest pair of classes (94, 96) lies 2 % apart.
GPU_CLASS_EXCESS = 0.01


def gpu_class(size_bytes: float) -> float:
    """Return the nominal class in GB of a GPU memory of so many bytes; between two classes, the whole GiB it has.

    Never falls as the size grows, so that more memory cannot make a verdict worse.
    """
    size = size_bytes / GIB
    for nominal in GPU_CLASSES_GB:
        if nominal * (1 - GPU_CLASS_LACK) <= size <= nominal * (1 + GPU_CLASS_EXCESS):
            return nominal
    return size // 1


def scale(condition: dict[str, Any]) -> float:
    """Return how many base units one of a condition's unit is; 1 where it has none."""
    dimension = next((table for table in UNITS.values() if condition.get("unit", "") in table), {})
    return float(dimension.get(condition.get("unit", ""), 1))


def shown(amount: float, unit: str) -> str:
    """Return an amount with its unit as a person writes it: `7.8 GiB`, `12`, `80 GB class`."""
    if unit == "GB class":
        return f"{amount:.0f} GB class"
    if 0 < abs(amount) < 1:
        digits = f"{amount:.2g}"
    else:
        digits = f"{amount:.1f}" if abs(amount) < 1000 else f"{amount:.0f}"
        digits = digits[:-2] if digits.endswith(".0") else digits
    return f"{digits} {unit}".strip()
