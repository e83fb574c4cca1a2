# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The array of a pool: made, adopted, assembled, repaired or grown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Array, Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan, claim, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Absent, Chosen
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import ARRAY_MEMBER
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State

# mdadm keeps at most 128 MiB of each member for its superblock, bitmap and later changes (super1.c, headroom); a member that is
# larger than its part of the array by more than twice as much has grown.
GROWN_BYTES = 256 * sizes.MIB
# The kernel's word for a member that does not serve any more.
FAULTY = "faulty"


@dataclass
class Base:
    """What the next layer lies on: `block` is None where it is made by this plan. size_bytes is then a close estimate."""

    path: str
    size_bytes: int
    block: Block | None = None
    named: bool = True


def size_of(level: int, members: list[int]) -> int:
    """Return the bytes that an array of the level has, of members with so many bytes each, less what mdadm keeps."""
    least = min(members, default=0)
    kept = 128 * sizes.MIB
    while kept > 2 * sizes.MIB and kept << 10 > least:
        kept >>= 1
    count = len(members)
    usable = max(0, least - kept - sizes.MIB)
    return usable * {0: count, 1: 1, 5: count - 1, 6: count - 2}.get(level, 0) if level != 10 else usable * count // 2


def plan_array(
    plan: Plan, pool: dict[str, Any], chosen: list[Chosen], absent: list[Absent], state: State, allow_destroy: bool
) -> Base | None:
    """Plan the array of a pool and return it; None where the plan has to stop."""
    where, raid = f"pool {pool['name']}", pool["raid"]
    names = {device.block.name for device in chosen}
    arrays = [
        block
        for block in state.blocks.values()
        if block.array and (block.array.name == pool["name"] or names & set(block.array.members))
    ]
    if len(arrays) > 1:
        plan.problems.append(
            f"{where}: its disks belong to several arrays ({', '.join(block.name for block in arrays)}); name those of one"
        )
        return None
    wanted = f"raid{raid['level']} of {len(chosen) + len(absent)} disks" + (
        f", {raid['spares']} spare" if raid["spares"] else ""
    )
    array = arrays[0].array if arrays else None
    if array:
        if array.state not in ("inactive", "clear", "") and array.level:
            return _existing(plan, pool, arrays[0], array, chosen, absent, state, allow_destroy, wanted)
        return _half(plan, pool, arrays[0], chosen, absent, state, allow_destroy, wanted)
    members = [device for device in chosen if _member_of(pool, device.block, state)]
    ours = all(interrupted(state, f"array:{pool['name']}", device.block) for device in chosen)
    # Where only some are members, the others were added or put in place of lost ones. The members may hold all the data there is,
    # and are never made anew, unless it was their making that was interrupted.
    if members and (len(members) == len(chosen) or not ours):
        plan.row(f"array {pool['name']}", wanted, "there, not running", "start")
        plan.commands(
            f"Start array {pool['name']}",
            ["mdadm", "--assemble", f"/dev/md/{pool['name']}", *(device.block.path for device in members)],
            ["udevadm", "settle"],
        )
        plan.again = True
        return None
    return _new(plan, pool, chosen, absent, state, allow_destroy, wanted)


def _member_of(pool: dict[str, Any], block: Block, state: State) -> bool:
    found = state.signatures.get(block.name, [])
    return any(entry.type == ARRAY_MEMBER and entry.label.rpartition(":")[2] == pool["name"] for entry in found)


def _new(
    plan: Plan,
    pool: dict[str, Any],
    chosen: list[Chosen],
    absent: list[Absent],
    state: State,
    allow_destroy: bool,
    wanted: str,
) -> Base | None:
    where, raid, name = f"pool {pool['name']}", pool["raid"], pool["name"]
    active = len(chosen) + len(absent) - raid["spares"]
    if absent:
        plan.problems.append(
            f"{where}: {' and '.join(entry.entry for entry in absent)} is not in this host; check the name (ls -l /dev/disk/by-id)"
        )
    if active < inputs.LEAST_DISKS[raid["level"]]:
        plan.problems.append(
            f"{where}: raid level {raid['level']} needs at least {inputs.LEAST_DISKS[raid['level']]} disks"
            f"{' besides spares' if raid['spares'] else ''}, and there {'is' if active == 1 else 'are'} {active}; add disks or take another level"
        )
        return None
    good = claim(plan, where, f"array:{name}", chosen, state, allow_destroy)
    if not good or absent:
        return None
    blocks = [device.block for device in chosen]
    command = [
        "mdadm", "--create", f"/dev/md/{name}", "--run", f"--name={name}",
        # The array keeps its name when the host gets another, or the disks move to another host.
        "--homehost=any",
        "--metadata=1.2", f"--level={raid['level']}", f"--raid-devices={active}",
    ]  # fmt: skip
    if raid["spares"]:
        command.append(f"--spare-devices={raid['spares']}")
    if raid.get("chunk_size"):
        command.append(f"--chunk={sizes.to_bytes(raid['chunk_size']) // sizes.KIB}K")
    if raid["level"] != 0:
        # With a bitmap, a crash costs a resync of what was being written and not of everything.
        command.append("--bitmap=internal")
    plan.row(f"array {name}", wanted, "nothing", "make")
    plan.commands(f"Make array {name}", [*command, *(block.path for block in blocks)], ["udevadm", "settle"])
    plan.about_to_make(f"array:{name}", [block.identity for block in blocks])
    plan.again = True
    return Base(f"/dev/md/{name}", size_of(raid["level"], [block.size_bytes for block in blocks][:active]))


def _half(
    plan: Plan,
    pool: dict[str, Any],
    block: Block,
    chosen: list[Chosen],
    absent: list[Absent],
    state: State,
    allow_destroy: bool,
    wanted: str,
) -> Base | None:
    """An array that does not run: one whose making was interrupted, or one that lacks too many disks."""
    name = pool["name"]
    foreign = set(block.array.members if block.array else {}) - {device.block.name for device in chosen}
    if foreign:
        said = [state.blocks[member].said if member in state.blocks else member for member in sorted(foreign)]
        plan.problems.append(
            f"pool {name}: array {block.name} does not run, and has {', '.join(said)}, which devices does not name; name it, or give the pool "
            "another name"
        )
        return None
    ours = all(interrupted(state, f"array:{name}", device.block) for device in chosen)
    # mdadm writes all superblocks before it starts an array: while one is missing, nothing was ever on it.
    blank = [device for device in chosen if not state.signatures.get(device.block.name)]
    if ours and blank and not absent:
        plan.row(f"array {name}", wanted, "unfinished", "make again")
        members = [device for device in chosen if device not in blank]
        plan.commands(
            f"Clear the unfinished array {name}",
            ["mdadm", "--stop", block.path],
            *(["mdadm", "--zero-superblock", device.block.path] for device in members),
            ["udevadm", "settle"],
        )
        plan.about_to_make(f"array:{name}", [device.block.identity for device in chosen])
        plan.again = True
        return None
    if ours and not absent and all(_member_of(pool, device.block, state) for device in chosen):
        # All superblocks were written, and the array was not started any more: started from its members, it is whole.
        plan.row(f"array {name}", wanted, "unfinished", "start")
        plan.commands(f"Stop the unfinished array {name}", ["mdadm", "--stop", block.path], ["udevadm", "settle"])
        plan.again = True
        return None
    plan.problems.append(
        f"pool {name}: array {block.name} of its disks does not run ({block.array.state if block.array else 'inactive'}): too few of its disks "
        f"are there ({', '.join(device.block.said for device in chosen)}"
        + (f"; missing: {', '.join(entry.entry for entry in absent)}" if absent else "")
        + f"); connect the missing ones, or look with 'mdadm --examine' and start it by hand ('mdadm --run {block.path}')"
    )
    return None


def _existing(
    plan: Plan,
    pool: dict[str, Any],
    block: Block,
    array: Array,
    chosen: list[Chosen],
    absent: list[Absent],
    state: State,
    allow_destroy: bool,
    wanted: str,
) -> Base | None:
    where, raid, name = f"pool {pool['name']}", pool["raid"], pool["name"]
    base = Base(block.path, block.size_bytes, block)
    found = f"{array.level} of {array.slots}" + (f", {array.degraded} missing" if array.degraded else "")
    if array.action not in ("idle", "frozen"):
        found += f", {array.action}" + (f" {_percent(array.done)}" if _percent(array.done) else "")
    if array.level != f"raid{raid['level']}":
        plan.problems.append(
            f"{where}: array {block.name} of its disks is {array.level}, and raid.level is {raid['level']}; set the level that is there"
        )
        return None
    names = {device.block.name for device in chosen}
    serving = {member for member, status in array.members.items() if FAULTY not in status}
    foreign = [member for member in array.members if member in serving and member not in names]
    if foreign:
        said = [state.blocks[member].said if member in state.blocks else member for member in foreign]
        plan.problems.append(
            f"{where}: array {block.name} also has {', '.join(said)}, which devices does not name; name it (an array never shrinks)"
        )
        return None
    new = [device for device in chosen if device.block.name not in array.members]
    if not new:
        plan.whole.add(f"array:{name}")
    active = len(chosen) + len(absent) - raid["spares"]
    if active < array.slots:
        plan.problems.append(
            f"{where}: array {block.name} has places for {array.slots} disks, and devices names {active}; name all of them (an array never shrinks)"
        )
        return None
    if active > array.slots and raid["level"] == 0:
        plan.problems.append(
            f"{where}: an array of level 0 is not grown by disks; make another pool of {', '.join(d.block.said for d in new)}"
        )
        return None
    small = [device.block for device in new if device.block.size_bytes < array.component_bytes]
    if small:
        plan.problems.append(
            f"{where}: array {block.name} needs {sizes.shown(array.component_bytes)} of each disk, and "
            f"{', '.join(f'{disk.said} has {sizes.shown(disk.size_bytes)}' for disk in small)}; name a disk that is large enough"
        )
        return None
    if new and not claim(plan, where, f"array:{name}", new, state, allow_destroy):
        return None
    action = "keep"
    lost = [member for member, status in array.members.items() if FAULTY in status]
    # Without new disks, too: of spares that shall serve, and of disks that were added when a run was interrupted.
    more = active > array.slots and len(serving) + len(new) >= active
    waits = array.degraded or array.action not in ("idle", "frozen")
    if new:
        commands = []
        if lost or array.degraded:
            # Disks that failed, and disks that are gone: both may have nothing to remove.
            commands += [["mdadm", block.path, "--remove", which] for which in ("failed", "detached")]
        commands.append(["mdadm", block.path, "--add", *(device.block.path for device in new)])
        plan.commands(
            f"Add {', '.join(device.block.said for device in new)} to array {name}", *commands, ["udevadm", "settle"]
        )
        plan.about_to_make(f"array:{name}", [device.block.identity for device in new])
        action = "replace" if lost or array.degraded else "add spare"
        plan.again = True
    if more and waits:
        plan.warnings.append(
            f"pool {name}: array {block.name} ({found}) grows to {active} disks only when it is whole and idle; run this again then"
        )
    if more and not waits:
        action = "grow"
        base.size_bytes = max(base.size_bytes, _estimate(raid["level"], active, [*array.members, *names], state))
        plan.commands(
            f"Grow array {name} to {active} disks",
            ["mdadm", "--grow", block.path, f"--raid-devices={active}"],
            ["udevadm", "settle"],
        )
        plan.again = True
    elif new:
        pass
    elif array.degraded:
        missing = [*(entry.entry for entry in absent), *lost] or [f"{array.degraded} of its disks"]
        action = "rebuilding" if array.action == "recover" else "DEGRADED"
        if action == "DEGRADED":
            plan.warnings.append(
                f"{where}: array {name} ({block.name}) is degraded: {', '.join(missing)} does not serve. It still works, and the next failure may lose all. "
                "Replace the disk, name the new one in its place in devices, and run this again"
            )
    elif absent:
        plan.warnings.append(
            f"pool {name}: {', '.join(entry.entry for entry in absent)} is not in this host, and array {block.name} is whole without it"
        )
    elif array.component_bytes and array.action == "idle" and raid["level"] != 0:
        members = [state.blocks[member] for member in array.members if member in state.blocks]
        if members and min(member.size_bytes for member in members) - array.component_bytes > GROWN_BYTES:
            action = "grow"
            base.size_bytes = max(base.size_bytes, _estimate(raid["level"], array.slots, list(array.members), state))
            plan.commands(
                f"Grow array {name} to its disks' size",
                ["mdadm", "--grow", block.path, "--size=max"],
                ["udevadm", "settle"],
            )
            plan.again = True
    if array.action == "reshape":
        plan.warnings.append(
            f"array {name} ({block.name}) is being reshaped {_percent(array.done)}".rstrip()
            + ": what it gains is there when that ends. Run this again then, and group, volumes and file systems grow, too"
        )
    plan.row(f"array {name}", wanted, found, action)
    return base


def _estimate(level: int, slots: int, members: list[str], state: State) -> int:
    sizes_there = [state.blocks[member].size_bytes for member in members if member in state.blocks]
    return size_of(level, [min(sizes_there)] * slots) if sizes_there else 0


def _percent(done: str) -> str:
    """The kernel's `12345 / 98765` as `12 %`."""
    parts = done.split("/")
    if len(parts) == 2 and parts[0].strip().isdigit() and parts[1].strip().isdigit() and int(parts[1]):
        return f"{100 * int(parts[0]) // int(parts[1])} %"
    return ""
