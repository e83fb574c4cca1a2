# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is: rows for people, steps for the tasks, and reasons to stop. And how a plan gets hold of a device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import selection
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Absent, Chosen
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import ARRAY_MEMBER
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State

# After what makes or changes devices: the links below /dev are there when the next step needs them.
SETTLE = ["udevadm", "settle"]
COLUMNS = ("what", "wanted", "found", "action")


@dataclass
class Plan:
    """rows: one for each object. steps: in the order in which they are done. problems: reasons to change nothing at all.

    warnings: what the run does not mend. again: what comes after the steps is only known when they are done. packages: what the
    host lacks to look at all. journal: what is about to be made, see journal.py; whole: what is there in full, and no longer being made.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    journal: dict[str, Any] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    again: bool = False

    def row(self, what: str, wanted: str, found: str, action: str) -> None:
        """Add a line of the table."""
        self.rows.append({"what": what, "wanted": wanted, "found": found, "action": action})

    def step(self, kind: str, title: str, **values: Any) -> None:
        """Add a step; `kind` says which task does it, `title` is what that task is called in the output."""
        self.steps.append({"kind": kind, "title": title, **values})

    def commands(self, title: str, *commands: list[str]) -> None:
        """Add a step that is done by commands, one after the other."""
        self.step("commands", title, commands=list(commands))

    def about_to_make(self, what: str, devices: list[tuple[str, str]]) -> None:
        """Note for the journal that `what` (`array:data`) will be made of devices (path, serial) that are empty now."""
        self.journal[what] = {"devices": [{"device": path, "serial": serial} for path, serial in devices]}

    def noted(self, before: dict[str, Any]) -> dict[str, Any]:
        """Return what the journal has to say from now on; `before` is what it says.

        What is interrupted stays noted until it is there in full, which is looked at even when the plan cannot go on: a record that
        is older than the thing itself would free disks that have data by now.
        """
        kept = {what: entry for what, entry in before.items() if what not in self.whole}
        if self.problems or self.packages:
            return kept
        return {**kept, **self.journal} if self.steps else {}


@dataclass
class Base:
    """What the next layer lies on: `block` is None where it is made by this plan. size_bytes is then a close estimate."""

    path: str
    size_bytes: int
    block: Block | None = None
    named: bool = True


@dataclass(frozen=True)
class Case:
    """One pool on one host, and the plan that it goes into.

    chosen: its disks that are there, absent: those that are not. allow_destroy: whether named disks may be wiped.
    """

    plan: Plan
    pool: dict[str, Any]
    chosen: list[Chosen]
    absent: list[Absent]
    state: State
    allow_destroy: bool

    @property
    def name(self) -> str:
        """The pool's name, which is that of its array and group, too."""
        return str(self.pool["name"])

    def refuse(self, reason: str) -> None:
        """Note why nothing may be done."""
        self.plan.problems.append(f"pool {self.name}: {reason}")

    def warn(self, text: str) -> None:
        """Note what is wrong and not mended by the steps."""
        self.plan.warnings.append(f"pool {self.name}: {text}")

    def refuse_absent(self) -> None:
        """Refuse to make something of disks that are not there."""
        names = " and ".join(entry.entry for entry in self.absent)
        self.refuse(f"{names} is not in this host; check the name (ls -l /dev/disk/by-id)")

    def claim(self, what: str, devices: list[Chosen]) -> bool:
        """Make sure that devices may be written to, see `claim`."""
        return claim(self.plan, f"pool {self.name}", what, devices, self.state, self.allow_destroy)


def lines(rows: list[dict[str, str]]) -> list[str]:
    """Return the table as text, a heading first; nothing for no rows."""
    if not rows:
        return []
    table = [COLUMNS, *(tuple(row[column] for column in COLUMNS) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS) - 1)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip() for line in table]


def interrupted(state: State, what: str, block: Block, path: str = "") -> bool:
    """Whether the journal says that `what` was being made on this very device; `path` is another name of it."""
    names = {*block.links, block.path, path or block.path}
    for entry in state.journal.get(what, {}).get("devices", []):
        if entry.get("serial") and block.serial and entry["serial"] != block.serial:
            continue
        # All partitions of a disk have its serial.
        if entry.get("device") in names or (block.kind == "disk" and entry.get("serial") and block.serial):
            return True
    return False


def claim(plan: Plan, where: str, what: str, devices: list[Chosen], state: State, allow_destroy: bool) -> bool:
    """Make sure that the devices may be written to, wiping first what may be wiped; False where the plan has to stop.

    A device is free when nothing was found on it. One with signatures is wiped when the switch is on, a person named it, and the
    kernel does not use it; or when only an unfinished `what` of ours is on it.
    """
    good = True
    for device in devices:
        block, use = device.block, selection.in_use(device.block, state)
        if not use:
            continue
        if not selection.held(block, state) and interrupted(state, what, block) and _is_unfinished(what, block, state):
            plan.commands(f"Clear the unfinished array from {block.said}", ["mdadm", "--zero-superblock", block.path])
        elif allow_destroy and device.named and block.known_to_udev and not selection.held(block, state):
            # Backups of what wipefs overwrites are kept in root's home: a few bytes that can save a mistaken disk.
            pieces = [f"/dev/{part}" for part in block.parts]
            plan.commands(f"Wipe {block.said}: {use}", ["wipefs", "--all", "--backup", *pieces, block.path])
            plan.row(f"disk {block.said}", "empty", use, "WIPE")
        else:
            good = False
            remedy = (
                "name another disk"
                if block.unreadable or block.read_only or not block.known_to_udev
                else "free it first (unmount, stop or remove what uses it), or name another disk"
                if selection.held(block, state)
                else f"if nothing on it is needed, run 'wipefs --all {block.lasting}' on the host"
                + (", or set storage_allow_destroy" if device.named else "")
                + "; else name another disk"
            )
            plan.problems.append(f"{where}: {block.said} is not empty: {use}; {remedy}")
    return good


def _is_unfinished(what: str, block: Block, state: State) -> bool:
    found = state.signatures.get(block.name, [])
    name = what.partition(":")[2]
    return (
        what.startswith("array:")
        and not block.parts
        and bool(found)
        and all(signature.type == ARRAY_MEMBER and signature.label.rpartition(":")[2] == name for signature in found)
    )
