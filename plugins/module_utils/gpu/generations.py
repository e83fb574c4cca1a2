# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations of NVIDIA GPUs: which one a card is of, and what its driver must be.

A card's generation is what its driver says, else what the table of the hardware facts knows of its PCI id, else the
block of device ids that it lies in. The blocks agree with the public PCI id database of 2026-08-22.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table

NVIDIA = "10de"


class Generation(NamedTuple):
    """What a generation asks of the driver. Branches are the first part of a driver's version (580 of 580.178.04)."""

    # The first branch that knows it, and the last one; None where none is known.
    first: int
    last: Optional[int]  # noqa: UP045 (evaluated at run time on Python 3.9)
    # Open kernel modules need a GSP, which Turing brought; from Blackwell on, they are the only ones.
    open_possible: bool
    open_required: bool


# NVIDIA's installation guide, "Kernel Modules": open for Turing and newer, required for Grace Hopper and Blackwell.
# Its life cycle page: 580 is the last branch for Maxwell, Pascal and Volta. First branches above 470 are unverified.
GENERATIONS = {
    "Maxwell": Generation(470, 580, False, False),
    "Pascal": Generation(470, 580, False, False),
    "Volta": Generation(470, 580, False, False),
    "Turing": Generation(470, None, True, False),
    "Ampere": Generation(470, None, True, False),
    "Ada Lovelace": Generation(535, None, True, False),
    "Hopper": Generation(535, None, True, False),
    "Grace Hopper": Generation(535, None, True, True),
    "Blackwell": Generation(570, None, True, True),
    "Blackwell Ultra": Generation(580, None, True, True),
}

# First and last device id of a block. What lies between them is of none of these generations, or of no GPU.
BLOCKS = (
    (0x1340, 0x1436, "Maxwell"),
    (0x15C2, 0x15FF, "Pascal"),
    (0x1613, 0x1676, "Maxwell"),
    (0x1725, 0x172F, "Pascal"),
    (0x174D, 0x17FD, "Maxwell"),
    (0x1B00, 0x1D56, "Pascal"),
    (0x1D81, 0x1DF6, "Volta"),
    (0x1E02, 0x1FF9, "Turing"),
    (0x2080, 0x20FF, "Ampere"),
    (0x2182, 0x21D1, "Turing"),
    (0x2200, 0x2291, "Ampere"),
    (0x2302, 0x23F0, "Hopper"),
    (0x2414, 0x25FB, "Ampere"),
    (0x2681, 0x28F8, "Ada Lovelace"),
    (0x2900, 0x2F80, "Blackwell"),
    (0x3180, 0x3340, "Blackwell"),
)
# GB110 and later in the database.
_ULTRA = (0x3180, 0x3340)
# The database names these Grace Hopper; 2342 is in the table of the facts, too.
_GRACE_HOPPER = frozenset({"10de:2342", "10de:2348"})
# Boards whose GPUs are joined by NVLink of the fifth generation: B200 and B300 (the switches have no PCI id of a GPU's
# maker), and the superchips, which share memory over several hosts by IMEX.
NVLINK5 = frozenset({"10de:2901", "10de:2909", "10de:3182"})
SUPERCHIPS = frozenset({"10de:2941", "10de:31c2", "10de:31c3"})


def block_of(pci_id: str) -> str | None:
    """The generation by the block that a device id lies in; None outside of all blocks."""
    vendor, _colon, device = pci_id.partition(":")
    try:
        number = int(device, 16)
    except ValueError:
        return None
    if vendor != NVIDIA:
        return None
    return next((name for first, last, name in BLOCKS if first <= number <= last), None)


def generation_of(card: dict[str, Any], named: dict[str, str] | None = None) -> str | None:
    """The key in GENERATIONS of one entry of the facts' `accelerators`; None where it is not known.

    `named` is what a person says, PCI id to generation: it decides.
    """
    identity = str(card.get("pci_id") or "")
    if named and identity in named:
        return named[identity]
    model = accelerator_table.MODELS.get(identity)
    name = card.get("architecture") or (model.architecture if model else None) or block_of(identity)
    if name == "Hopper" and (identity in _GRACE_HOPPER or "GH200" in str(card.get("name") or "")):
        return "Grace Hopper"
    if name == "Blackwell" and block_of(identity) and _ULTRA[0] <= int(identity[5:], 16) <= _ULTRA[1]:
        return "Blackwell Ultra"
    return name if name in GENERATIONS else None
