# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Branches of the NVIDIA driver: which ones there are, and what changed with them.

A branch is the first number of a driver's version. The facts are those of NVIDIA's driver installation guides 580 to
620, of its driver container and of its life cycle page, as of November 2026.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

# The driver's installer recommends open modules from here on.
OPEN_BY_DEFAULT = 560
# Fabric Manager, NSCQ, NVSDM and IMEX lose the branch in their names; CUDA 13.
PLAIN_PARTS = 580
# The driver's packages lose the branch in their names on Ubuntu; cuda-drivers-NNN ends.
PLAIN_DRIVER = 590
# The proprietary kernel modules are gone.
OPEN_ONLY = 620
# Open kernel modules are in no branch before 515; of the known ones, 470 has none.
NO_OPEN = 470
# Long-term support, and the default of the vendor's repository.
DEFAULT = 580


class Branch(NamedTuple):
    """One branch."""

    cuda_major: int
    long_term: bool = False
    # Year and month; None where it is not known.
    end_of_life: Optional[str] = None  # noqa: UP045 (evaluated at run time on Python 3.9)
    # The newest version that was seen in NVIDIA's own lists, for people; nothing is chosen by it.
    seen: Optional[str] = None  # noqa: UP045


BRANCHES = {
    470: Branch(11),
    535: Branch(12),
    550: Branch(12),
    560: Branch(12),
    570: Branch(12),
    575: Branch(12),
    580: Branch(13, long_term=True, end_of_life="2028-06", seen="580.178.04"),
    590: Branch(13),
    595: Branch(13, seen="595.91.07"),
    610: Branch(13, seen="610.57.04"),
    615: Branch(13, seen="615.71.09"),
    620: Branch(13),
}


def flavours(branch: int) -> tuple[str, ...]:
    """The kernel modules that a branch has, in NVIDIA's own order of preference."""
    if branch >= OPEN_ONLY:
        return ("open",)
    if branch <= NO_OPEN:
        return ("proprietary",)
    return ("open", "proprietary") if branch >= OPEN_BY_DEFAULT else ("proprietary", "open")
