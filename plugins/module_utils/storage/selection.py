# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which block devices the entries of a pool's `devices` are on this host."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block, disks_below
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State

# Whose disk must never be given away, whatever is said of it.
SYSTEM_MOUNTS = ("/", "/boot", "/boot/efi", "/usr", "/var", "/home")


@dataclass(frozen=True)
class Chosen:
    """A device of a pool. `named` is false where a rule found it: such a disk never loses what is on it."""

    block: Block
    named: bool


@dataclass(frozen=True)
class Absent:
    """An entry that names a disk which is not in the host."""

    entry: str


def system_disks(state: State) -> dict[str, list[str]]:
    """Return the disks below the running system, by kernel name, with the mounts and swap that make them so."""
    found: dict[str, list[str]] = {}
    for block in state.blocks.values():
        reasons = [mount for mount in SYSTEM_MOUNTS if mount in block.mounts] + (["swap"] if block.swap else [])
        if reasons:
            for disk in disks_below(block.name, state.blocks):
                found.setdefault(disk, []).extend(reason for reason in reasons if reason not in found[disk])
    return found


def choose(
    pools: list[dict[str, Any]], state: State, owned: Callable[[dict[str, Any], Block], bool]
) -> tuple[dict[str, list[Chosen]], dict[str, list[Absent]], list[str]]:
    """Return (devices by pool, disks that are not there by pool, problems).

    What is named comes first, over all pools; then each rule takes, in the order of the list, the disks that its pool owns
    already (`owned`), and after these the unused ones with the smallest kernel names, up to its count.
    """
    problems: list[str] = []
    chosen: dict[str, list[Chosen]] = {pool["name"]: [] for pool in pools}
    absent: dict[str, list[Absent]] = {pool["name"]: [] for pool in pools}
    taken: dict[str, str] = {}
    system = system_disks(state)

    def take(pool: dict[str, Any], block: Block, entry: Any) -> None:
        if block.name in taken:
            problems.append(
                f"pool {pool['name']}: {inputs.said(entry)} is {block.said}, which pool {taken[block.name]} has already; name it once"
            )
            return
        taken[block.name] = pool["name"]
        # A pool may itself be mounted at /home.
        own = {mount.rstrip("/") for _place, mount in inputs.mount_points(pool)}
        below = [*system.get(block.name, []), *(mount for mount in SYSTEM_MOUNTS if mount in block.mounts)]
        reasons = [reason for reason in dict.fromkeys(below) if reason not in own]
        if reasons:
            problems.append(
                f"pool {pool['name']}: {inputs.said(entry)} is {block.said}, which the system runs on ({', '.join(reasons)}); name another disk"
            )
            return
        chosen[pool["name"]].append(Chosen(block, named=not (isinstance(entry, dict) and "select" in entry)))

    for pool in pools:
        for entry in pool["devices"]:
            if isinstance(entry, dict) and "select" in entry:
                continue
            matches = _named(entry, state)
            if len(matches) == 1:
                take(pool, matches[0], entry)
            elif matches:
                problems.append(
                    f"pool {pool['name']}: {inputs.said(entry)} is {' and '.join(block.name for block in matches)}; "
                    "name one of them by its path below /dev/disk/by-path/"
                )
            else:
                absent[pool["name"]].append(Absent(inputs.said(entry)))
    for pool in pools:
        for entry in pool["devices"]:
            if not (isinstance(entry, dict) and "select" in entry):
                continue
            fitting = [
                block for block in state.blocks.values() if block.name not in taken and _fits(entry["select"], block)
            ]
            mine = [block for block in fitting if owned(pool, block)]
            free = [
                block for block in fitting if block not in mine and block.name not in system and unused(block, state)
            ]
            count = entry["select"].get("count")
            found = (mine + free)[:count]
            for block in found:
                take(pool, block, entry)
            if not found or (count and len(found) < count):
                others = [f"{block.said}: {in_use(block, state)}" for block in fitting if block not in found]
                spare = [
                    f"{block.said}: {block.media or 'kind unknown'}, {sizes.shown(block.size_bytes)}, {block.model or 'no model'}"
                    for block in state.blocks.values()
                    if block.kind == "disk"
                    and block.name not in taken
                    and block not in fitting
                    and unused(block, state)
                ]
                problems.append(
                    f"pool {pool['name']}: {inputs.said(entry)} finds {len(found)} of {count or 'at least 1'} disks"
                    + (f"; these fit and are not free: {', '.join(others[:4])}" if others else "")
                    + (f"; these are free and do not fit: {', '.join(spare[:4])}" if spare else "")
                    + "; change the rule, or add disks"
                )
    return chosen, absent, problems


def _named(entry: Any, state: State) -> list[Block]:
    if isinstance(entry, str):
        return [block for block in state.blocks.values() if entry in block.links]
    serial = str(entry["serial"]).strip()
    return [block for block in state.blocks.values() if block.kind == "disk" and block.serial == serial]


def _fits(rule: dict[str, Any], block: Block) -> bool:
    return (
        block.kind == "disk"
        and not block.removable
        # Made of other disks, as bcache is.
        and not block.slaves
        and ("kind" not in rule or block.media == rule["kind"])
        and ("min_size" not in rule or block.size_bytes >= sizes.to_bytes(rule["min_size"]))
        and ("max_size" not in rule or block.size_bytes <= sizes.to_bytes(rule["max_size"]))
        and ("model" not in rule or re.search(str(rule["model"]), block.model or "") is not None)
        and ("numa_node" not in rule or block.numa_node == rule["numa_node"])
    )


def in_use(block: Block, state: State) -> str:
    """Return what the device is in use for, or what lies on it; empty where it is unused."""
    reasons = []
    if block.mounts:
        reasons.append(f"mounted at {', '.join(block.mounts[:3])}")
    if block.swap:
        reasons.append("swap")
    if block.holders:
        reasons.append(f"part of {', '.join(block.holders)}")
    group = group_of(block, state)
    if group:
        reasons.append(f"part of group {group}")
    for part in block.parts:
        inner = in_use(state.blocks[part], state) if part in state.blocks else ""
        reasons.append(f"partition {part}" + (f" ({inner})" if inner else ""))
    reasons.extend(
        f"{signature.type} signature" + (f" '{signature.label}'" if signature.label else "")
        for signature in state.signatures.get(block.name, [])
    )
    if block.read_only:
        reasons.append("read-only")
    if block.claimed and not held(replace(block, claimed=False), state):
        reasons.append("claimed by the kernel or a program, though it is not mounted here")
    if block.unreadable:
        reasons.append(f"it cannot be read ({block.unreadable}), so what is on it cannot be told")
    if not block.known_to_udev:
        reasons.append("udev does not know it, so what is on it cannot be told")
    return "; ".join(reasons)


def group_of(block: Block, state: State) -> str:
    """Return the volume group that the device is in, also one whose volumes are all inactive; empty where it is in none."""
    return next(
        (
            group.name
            for group in state.groups.values()
            if group.name and any(state.at(m.path) is block for m in group.members)
        ),
        "",
    )


def unused(block: Block, state: State) -> bool:
    """Whether nothing at all was found on the device."""
    return not in_use(block, state)


def held(block: Block, state: State) -> bool:
    """Whether the kernel uses the device or a partition of it now: no switch makes such a one free."""
    return bool(
        block.mounts
        or block.swap
        or block.holders
        or block.read_only
        or block.claimed
        or block.unreadable
        or group_of(block, state)
        or any(held(state.blocks[part], state) for part in block.parts if part in state.blocks)
    )
