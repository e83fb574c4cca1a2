# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: mounts of the pools undone, and, only where it is asked for twice, volumes, arrays and signatures removed."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_pools import owned
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_volumes import THIN_POOL
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import choose
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import ARRAY_MEMBER, GROUP_MEMBER
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State


def remove(pools: list[dict[str, Any]], state: State, data: bool) -> Plan:
    """Return the plan that takes the pools away. `data` is whether volumes, arrays and signatures go, too."""
    plan = Plan(problems=inputs.problems(pools))
    if plan.problems:
        return plan
    chosen, _absent, problems = choose(pools, state, lambda pool, block: owned(pool, block, state))
    disks = {name: [device.block for device in devices] for name, devices in chosen.items()}
    places = [(pool, place, mount.rstrip("/")) for pool in pools for place, mount in inputs.mount_points(pool)]
    for pool, place, mount in sorted(places, key=lambda entry: len(entry[2]), reverse=True):
        _unmount(plan, f"pool {pool['name']}{place}", mount, pool, disks[pool["name"]], state)
    if not data:
        return plan
    plan.problems += [problem for problem in problems if " finds " not in problem]
    for pool in pools:
        _pool(plan, pool, disks[pool["name"]], state)
    return plan


def _below(name: str, state: State) -> set[str]:
    """Return all devices that a device lies on, itself included."""
    found: set[str] = set()
    todo = [name]
    while todo:
        block = state.blocks.get(todo.pop())
        if block and block.name not in found:
            found.add(block.name)
            todo.extend(block.slaves)
    return found


def _unmount(plan: Plan, where: str, mount: str, pool: dict[str, Any], disks: list[Block], state: State) -> None:
    here = [entry for entry in state.mounts if entry.mount == mount and entry.type != "autofs"]
    line = state.fstab.get(mount)
    if not here and not line:
        return
    numbers = {block.number: block for block in state.blocks.values()}
    there = numbers.get(here[-1].number) if here else state.at(line.source) if line else None
    ours = there is not None and bool(_below(there.name, state) & {block.name for block in disks})
    # A line of a device that is not there is most likely that of a disk of the pool which is gone.
    if not ours and (here or there is not None):
        what = f"{here[-1].device} is mounted" if here else f"/etc/fstab mounts {line.source if line else ''}"
        plan.warnings.append(f"{where}: at {mount}, {what}, which is none of the pool's; it stays")
        return
    plan.row(f"mount {mount}", "absent", "mounted" if here else "in fstab", "unmount")
    plan.step("unmount", f"Unmount {mount}", mount=mount)


def _pool(plan: Plan, pool: dict[str, Any], disks: list[Block], state: State) -> None:
    name, group = pool["name"], state.groups.get(pool["name"])
    names = {block.name for block in disks}
    arrays = [block for block in state.blocks.values() if pool.get("raid") and block.array and block.array.name == name]
    for block in arrays:
        others = sorted(set(block.array.members if block.array else {}) - names)
        if others:
            plan.problems.append(_elsewhere(name, f"array {block.name}", others, "array", state))
            return
    if pool.get("volumes") and group:
        bases = names | {block.name for block in arrays}
        members = [state.at(member.path) for member in group.members]
        others = sorted(block.name for block in members if block and block.name not in bases)
        if others:
            plan.problems.append(_elsewhere(name, f"group {name}", others, "group", state))
            return
        wanted = {volume["name"] for volume in pool["volumes"]} | ({THIN_POOL} if pool.get("thin_pool_size") else set())
        theirs = sorted(set(group.volumes) - wanted)
        if theirs:
            plan.problems.append(
                f"pool {name}: group {name} also holds {', '.join(theirs)}, which storage_pools does not name; remove or move that first"
            )
            return
        plan.row(f"group {name}", "absent", f"{len(group.volumes)} volumes", "REMOVE")
        plan.commands(
            f"Remove group {name} with its volumes",
            ["vgremove", "--force", "--yes", name],
            ["pvremove", *(block.path for block in members if block)],
        )
    for block in arrays:
        plan.row(f"array {name}", "absent", block.name, "REMOVE")
        plan.commands(f"Remove array {name}", ["wipefs", "--all", block.path], ["mdadm", "--stop", block.path])
    wiped = [block for block in disks if _holds_only_the_pool(pool, block, state)]
    if wiped:
        plan.row(f"disks of {name}", "empty", ", ".join(block.said for block in wiped), "WIPE")
        plan.commands(
            f"Wipe the disks of {name}",
            ["wipefs", "--all", "--backup", *(block.path for block in wiped)],
            ["udevadm", "settle"],
        )


def _elsewhere(name: str, what: str, others: list[str], kind: str, state: State) -> str:
    said = ", ".join(state.blocks[other].said if other in state.blocks else other for other in others)
    return f"pool {name}: {what} is also on {said}, which devices does not name; name it, or remove the {kind} by hand"


def _holds_only_the_pool(pool: dict[str, Any], block: Block, state: State) -> bool:
    """Whether what is on the disk is the pool's layer and nothing else; that of a run which was interrupted, too."""
    found = state.signatures.get(block.name, [])
    if not found or block.parts:
        return False
    if pool.get("raid"):
        return owned(pool, block, state) and all(entry.type == ARRAY_MEMBER for entry in found)
    if pool.get("volumes"):
        groups = {
            group.name for group in state.groups.values() if any(state.at(m.path) is block for m in group.members)
        }
        return all(entry.type == GROUP_MEMBER for entry in found) and groups <= {"", pool["name"]}
    return owned(pool, block, state) and all(entry.type == pool["filesystem"] for entry in found)
