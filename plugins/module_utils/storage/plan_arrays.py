# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The array of a pool: which one it is, made, started, or made again where its making was interrupted."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs, plan_array_changes, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import SETTLE, Base, Case, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import ARRAY_MEMBER


def plan_array(case: Case) -> Base | None:
    """Plan the array of a pool and return it; None where the plan has to stop."""
    pool, state, name = case.pool, case.state, case.name
    names = {device.block.name for device in case.chosen}
    arrays = [
        block
        for block in state.blocks.values()
        if block.array and (block.array.name == name or names & set(block.array.members))
    ]
    if len(arrays) > 1:
        case.refuse(
            f"its disks belong to several arrays ({', '.join(block.name for block in arrays)}); name those of one"
        )
        return None
    wanted = f"raid{pool['raid']['level']} of {len(case.chosen) + len(case.absent)} disks" + (
        f", {pool['raid']['spares']} spare" if pool["raid"]["spares"] else ""
    )
    array = arrays[0].array if arrays else None
    if array:
        if array.state not in ("inactive", "clear", "") and array.level:
            return plan_array_changes.plan_changes(case, arrays[0], array, wanted)
        _half(case, arrays[0], wanted)
        return None
    members = [device for device in case.chosen if _member_of(case, device.block)]
    ours = all(interrupted(state, f"array:{name}", device.block) for device in case.chosen)
    # Where only some are members, the others were added or put in place of lost ones. The members may hold all the data there is,
    # and are never made anew, unless it was their making that was interrupted.
    if members and (len(members) == len(case.chosen) or not ours):
        case.plan.row(f"array {name}", wanted, "there, not running", "start")
        case.plan.commands(
            f"Start array {name}",
            ["mdadm", "--assemble", f"/dev/md/{name}", *(device.block.path for device in members)],
            SETTLE,
        )
        case.plan.again = True
        return None
    return _new(case, wanted)


def _member_of(case: Case, block: Block) -> bool:
    found = case.state.signatures.get(block.name, [])
    return any(entry.type == ARRAY_MEMBER and entry.label.rpartition(":")[2] == case.name for entry in found)


def _new(case: Case, wanted: str) -> Base | None:
    plan, name, raid = case.plan, case.name, case.pool["raid"]
    active = len(case.chosen) + len(case.absent) - raid["spares"]
    if case.absent:
        case.refuse_absent()
    if active < inputs.LEAST_DISKS[raid["level"]]:
        case.refuse(
            f"raid level {raid['level']} needs at least {inputs.LEAST_DISKS[raid['level']]} disks"
            f"{' besides spares' if raid['spares'] else ''}, and there {'is' if active == 1 else 'are'} {active}; add disks or take another level"
        )
        return None
    good = case.claim(f"array:{name}", case.chosen)
    if not good or case.absent:
        return None
    blocks = [device.block for device in case.chosen]
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
    plan.commands(f"Make array {name}", [*command, *(block.path for block in blocks)], SETTLE)
    plan.about_to_make(f"array:{name}", [block.identity for block in blocks])
    plan.again = True
    # The smallest disk says how much is taken of each; mdadm asks spares, too (Create.c).
    least = min(block.size_bytes for block in blocks)
    return Base(f"/dev/md/{name}", plan_array_changes.size_of(raid["level"], [least] * active))


def _half(case: Case, block: Block, wanted: str) -> None:
    """An array that does not run: one whose making was interrupted, or one that lacks too many disks."""
    plan, name, state = case.plan, case.name, case.state
    foreign = set(block.array.members if block.array else {}) - {device.block.name for device in case.chosen}
    if foreign:
        said = [state.blocks[member].said if member in state.blocks else member for member in sorted(foreign)]
        case.refuse(
            f"array {block.name} does not run, and has {', '.join(said)}, which devices does not name; name it, or give the pool another name"
        )
        return
    ours = all(interrupted(state, f"array:{name}", device.block) for device in case.chosen)
    # mdadm writes all superblocks before it starts an array: while one is missing, nothing was ever on it.
    blank = [device for device in case.chosen if not state.signatures.get(device.block.name)]
    if ours and blank and not case.absent:
        plan.row(f"array {name}", wanted, "unfinished", "make again")
        members = [device for device in case.chosen if device not in blank]
        plan.commands(
            f"Clear the unfinished array {name}",
            ["mdadm", "--stop", block.path],
            *(["mdadm", "--zero-superblock", device.block.path] for device in members),
            SETTLE,
        )
        plan.about_to_make(f"array:{name}", [device.block.identity for device in case.chosen])
        plan.again = True
        return
    if ours and not case.absent and all(_member_of(case, device.block) for device in case.chosen):
        # All superblocks were written, and the array was not started any more: started from its members, it is whole.
        plan.row(f"array {name}", wanted, "unfinished", "start")
        plan.commands(f"Stop the unfinished array {name}", ["mdadm", "--stop", block.path], SETTLE)
        plan.again = True
        return
    case.refuse(
        f"array {block.name} of its disks does not run ({block.array.state if block.array else 'inactive'}): too few of its disks "
        f"are there ({', '.join(device.block.said for device in case.chosen)}"
        + (f"; missing: {', '.join(entry.entry for entry in case.absent)}" if case.absent else "")
        + f"); connect the missing ones, or look with 'mdadm --examine' and start it by hand ('mdadm --run {block.path}')"
    )
