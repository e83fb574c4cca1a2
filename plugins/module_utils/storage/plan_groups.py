# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volume group of a pool: made, adopted, grown. It never shrinks."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.mlops.onprem.plugins.module_utils.storage import sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.lvm import Group, Member
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Base, Case, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Chosen, group_of, held
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import GROUP_MEMBER

# lvm's own defaults: an extent, and what it keeps at the start of a physical volume.
EXTENT_BYTES = 4 * sizes.MIB
START_BYTES = sizes.MIB
# A physical volume ends on an extent and starts on a stripe: a device that is larger by more has grown.
GROWN_BYTES = 64 * sizes.MIB


def plan_group(case: Case, bases: list[Base]) -> Group | None:
    """Plan the group and return it; one that this plan makes is returned with the extents that it will have."""
    plan, name = case.plan, case.name
    group = case.state.groups.get(name)
    wanted = f"group of {', '.join(base.block.name if base.block else base.path for base in bases)}"
    if group is None:
        if case.absent:
            case.refuse_absent()
            return None
        if not _claim(case, bases):
            return None
        plan.row(f"group {name}", wanted, "nothing", "make")
        _group_step(case, f"Make group {name}", [base.path for base in bases])
        plan.about_to_make(f"group:{name}", [_identity(case, base) for base in bases])
        plan.again = True
        return _estimate(Group(name, EXTENT_BYTES), bases)
    return _existing(case, group, bases, wanted)


def _existing(case: Case, group: Group, bases: list[Base], wanted: str) -> Group | None:
    plan, state, name = case.plan, case.state, case.name
    names = {base.block.name for base in bases if base.block}
    there = {block.name for block in (state.at(member.path) for member in group.members if not member.missing) if block}
    lost = [member.path for member in group.members if member.missing or state.at(member.path) is None]
    if lost:
        case.refuse(
            f"group {name} lacks {len(lost)} of its disks ({', '.join(lost)}), and what was on them; connect them again, "
            f"or mend the group by hand (vgreduce --removemissing {name}, lvs -o +devices {name})"
        )
        return None
    foreign = sorted(there - names)
    if foreign:
        said = [state.blocks[member].said for member in foreign]
        case.refuse(
            f"group {name} also has {', '.join(said)}, which devices does not name; name it (a group never shrinks)"
        )
        return None
    new = [base for base in bases if not base.block or base.block.name not in there]
    if not new:
        plan.whole.add(f"group:{name}")
    elif not _claim(case, new):
        return None
    # What is left of less than an extent stays unused.
    unused = GROWN_BYTES + group.extent_bytes
    grown = any(member.device_bytes - member.size_bytes > unused for member in group.members)
    found = f"{sizes.shown(group.extents * group.extent_bytes)}, {sizes.shown(group.free_extents * group.extent_bytes)} free"
    if new or grown:
        _group_step(case, f"Grow group {name}", [base.path for base in bases])
        if new:
            plan.about_to_make(f"group:{name}", [_identity(case, base) for base in new])
        plan.again = True
    elif case.absent:
        names_absent = ", ".join(entry.entry for entry in case.absent)
        case.warn(f"{names_absent} is not in this host, and group {name} is whole without it")
    plan.row(f"group {name}", wanted, found, "grow" if new or grown else "keep")
    return _estimate(group, bases) if plan.again else group


def _estimate(group: Group, bases: list[Base]) -> Group:
    """The group as it will be when its devices have the sizes that they are planned to have."""
    extent = group.extent_bytes
    there = {member.path: member for member in group.members}
    members, more = [], 0
    for base in bases:
        will = max(0, base.size_bytes - START_BYTES) // extent
        now = there.get(base.block.path if base.block else base.path)
        added = max(0, will - (now.size_bytes // extent if now else 0))
        free = (now.free_bytes if now else 0) + added * extent
        members.append(Member(base.path, will * extent, base.size_bytes, free_bytes=free))
        more += added
    return replace(group, extents=group.extents + more, free_extents=group.free_extents + more, members=members)


def _group_step(case: Case, title: str, paths: list[str]) -> None:
    case.plan.step("group", title, group=case.name, devices=paths)


def _identity(case: Case, base: Base) -> tuple[str, str]:
    """How the journal names what a group lies on. An array has its name before it is there, and the kernel may number it anew."""
    if case.pool.get("raid") or base.block is None:
        return f"/dev/md/{case.name}", ""
    return base.block.identity


def _claim(case: Case, bases: list[Base]) -> bool:
    """Like Case.claim, for disks and arrays; a physical volume in no group that the journal knows is ours already."""
    good = True
    for base in bases:
        block = base.block
        if block is None:
            continue
        found = case.state.signatures.get(block.name, [])
        if found and all(entry.type == GROUP_MEMBER for entry in found):
            owner = group_of(block, case.state)
            if owner:
                case.refuse(f"{block.said} is in group {owner}; give the pool that name, or name another disk")
                good = False
                continue
            begun = interrupted(case.state, f"group:{case.name}", block, _identity(case, base)[0])
            if begun and not held(block, case.state) and not block.parts:
                continue
        # An array of ours is never wiped: only disks, which a person named.
        device = Chosen(block, base.named and block.kind in ("disk", "part"))
        good = case.claim(f"group:{case.name}", [device]) and good
    return good
