# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A number that is not known exactly: a band, and how it came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """A band of one quantity.

    low, expected, high: the quantity in its base unit (bytes, bytes per second, pieces); low <= expected <= high.
    formula: the formula with the values put in, for people. source: where the formula and its constants come from.
    """

    low: float
    expected: float
    high: float
    formula: str
    source: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.expected <= self.high:
            raise AssertionError(f"not a band: {self}")

    def as_dict(self) -> dict[str, Any]:
        return {
            "low": round(self.low),
            "expected": round(self.expected),
            "high": round(self.high),
            "formula": self.formula,
            "source": self.source,
        }


def exactly(size: float, formula: str, source: str) -> Estimate:
    """A band without width."""
    return Estimate(size, size, size, formula, source)


def total(parts: dict[str, Estimate], source: str) -> Estimate:
    """Add named parts: the ends of the band add up, since one recipe drives them all in the same direction."""
    return Estimate(
        sum(part.low for part in parts.values()),
        sum(part.expected for part in parts.values()),
        sum(part.high for part in parts.values()),
        " + ".join(f"{name} {gib(part.expected)}" for name, part in parts.items() if part.high),
        source,
    )


def gib(size: float) -> str:
    """Bytes as people read them: `14.96 GiB`."""
    return f"{size / GIB:.2f} GiB"


def billions(count: float) -> str:
    """A count of parameters as people read it: `8.03e9`."""
    return f"{count:.4g}".replace("e+0", "e").replace("e+", "e")
