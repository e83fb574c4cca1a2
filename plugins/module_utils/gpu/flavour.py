# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open or proprietary kernel modules: what the GPUs of one host allow together, on a branch."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, flavours
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import GENERATIONS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal


def flavour_of(generations: list[str], branch: int) -> str:
    """The answer of `auto`: what the GPUs require, else NVIDIA's own rule: open from branch 560 on.

    GPUs older than Turing beside newer ones work with proprietary modules only.
    """
    rows = [GENERATIONS[name] for name in generations]
    if any(not row.open_possible for row in rows):
        return "proprietary"
    if any(row.open_required for row in rows):
        return "open"
    return flavours(branch)[0]


def unfit(generations: list[str], branch: int, asked: str) -> Refusal | None:
    """Why these GPUs cannot have this branch and flavour (`auto` for any)."""
    old = [name for name in generations if not GENERATIONS[name].open_possible]
    new = [name for name in generations if GENERATIONS[name].open_required]
    if old and new:
        return Refusal(
            f"The host has GPUs of {old[0]}, which need proprietary kernel modules, and of {new[0]}, which need open ones.",
            "No driver serves both: take one kind out of the host, or bind it to vfio-pci for a guest.",
        )
    for name in generations:
        row = GENERATIONS[name]
        if branch < row.first:
            fit = [number for number in BRANCHES if number >= row.first]
            return Refusal(
                f"Branch {branch} does not know GPUs of {name}, which need {row.first} or newer.",
                f"Set branch to one of {', '.join(map(str, fit))}, and source to vendor or mirror where the "
                "distribution does not have it.",
            )
        if row.last is not None and branch > row.last:
            return Refusal(
                f"Branch {branch} has no support of {name}, which ended with {row.last}.",
                f"Set branch to {row.last} or older.",
            )
    flavour = flavour_of(generations, branch) if asked == "auto" else asked
    if flavour == "proprietary" and new:
        return Refusal(f"GPUs of {new[0]} need open kernel modules.", "Set flavour to auto or open.")
    if flavour == "open" and old:
        return Refusal(f"GPUs of {old[0]} need proprietary kernel modules.", "Set flavour to auto or proprietary.")
    if flavour not in flavours(branch):
        return Refusal(
            f"Branch {branch} has no {flavour} kernel modules, only {flavours(branch)[0]} ones.",
            "Set flavour to auto, or take another branch: open ones are there from 535 on, proprietary ones up to 615.",
        )
    return None
