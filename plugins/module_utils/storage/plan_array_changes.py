# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of an array that runs: adopted, repaired, grown. It never shrinks."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.storage import sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Array, Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import SETTLE, Base, Case
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Chosen
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State

# mdadm keeps at most 128 MiB of each member for its superblock, bitmap and later changes (super1.c, headroom); a member that is
# larger than its part of the array by more than twice as much has grown.
KEPT_BYTES = 128 * sizes.MIB
GROWN_BYTES = 2 * KEPT_BYTES
# The kernel's word for a member that does not serve any more.
FAULTY = "faulty"


def size_of(level: int, members: list[int]) -> int:
    """Return the bytes that an array of the level has, of members with so many bytes each, less what mdadm keeps."""
    least = min(members, default=0)
    kept = KEPT_BYTES
    while kept > 2 * sizes.MIB and kept << 10 > least:
        kept >>= 1
    count = len(members)
    usable = max(0, least - kept - sizes.MIB)
    return usable * {0: count, 1: 1, 5: count - 1, 6: count - 2}.get(level, 0) if level != 10 else usable * count // 2


def plan_changes(case: Case, block: Block, array: Array, wanted: str) -> Base | None:
    """Plan what a running array lacks, and return it; None where the plan has to stop."""
    new = [device for device in case.chosen if device.block.name not in array.members]
    if not new:
        case.plan.whole.add(f"array:{case.name}")
    if _differs(case, block, array, new):
        return None
    if new and not case.claim(f"array:{case.name}", new):
        return None
    base = Base(block.path, block.size_bytes, block)
    found = f"{array.level} of {array.slots}" + (f", {array.degraded} missing" if array.degraded else "")
    if array.action not in ("idle", "frozen"):
        found += f", {array.action}" + (f" {_percent(array.done)}" if _percent(array.done) else "")
    action = _add(case, block, array, new) if new else "keep"
    active = _active(case)
    serving = [member for member, status in array.members.items() if FAULTY not in status]
    # Without new disks, too: of spares that shall serve, and of disks that were added when a run was interrupted.
    if active > array.slots and len(serving) + len(new) >= active:
        if array.degraded or array.action not in ("idle", "frozen"):
            case.warn(
                f"array {block.name} ({found}) grows to {active} disks only when it is whole and idle; run this again then"
            )
        else:
            names = [*array.members, *(device.block.name for device in case.chosen)]
            action = _grow(case, base, f"{active} disks", f"--raid-devices={active}", active, names)
    if action == "keep":
        action = _keep(case, base, block, array)
    if array.action == "reshape":
        case.warn(
            f"array {block.name} is being reshaped {_percent(array.done)}".rstrip()
            + ": what it gains is there when that ends. Run this again then, and group, volumes and file systems grow, too"
        )
    case.plan.row(f"array {case.name}", wanted, found, action)
    return base


def _active(case: Case) -> int:
    """How many disks shall serve, those that are not there included."""
    return len(case.chosen) + len(case.absent) - int(case.pool["raid"]["spares"])


def _differs(case: Case, block: Block, array: Array, new: list[Chosen]) -> bool:
    """Whether the array is another one than is wanted, which stops the plan."""
    level, blocks = case.pool["raid"]["level"], case.state.blocks
    names = {device.block.name for device in case.chosen}
    foreign = [member for member, status in array.members.items() if FAULTY not in status and member not in names]
    small = [device.block for device in new if device.block.size_bytes < array.component_bytes]
    if array.level != f"raid{level}":
        case.refuse(
            f"array {block.name} of its disks is {array.level}, and raid.level is {level}; set the level that is there"
        )
    elif foreign:
        said = [blocks[member].said if member in blocks else member for member in foreign]
        case.refuse(
            f"array {block.name} also has {', '.join(said)}, which devices does not name; name it (an array never shrinks)"
        )
    elif _active(case) < array.slots:
        case.refuse(
            f"array {block.name} has places for {array.slots} disks, and devices names {_active(case)}; name all of them (an array never shrinks)"
        )
    elif _active(case) > array.slots and level == 0:
        case.refuse(
            f"an array of level 0 is not grown by disks; make another pool of {', '.join(device.block.said for device in new)}"
        )
    elif small:
        case.refuse(
            f"array {block.name} needs {sizes.shown(array.component_bytes)} of each disk, and "
            f"{', '.join(f'{disk.said} has {sizes.shown(disk.size_bytes)}' for disk in small)}; name a disk that is large enough"
        )
    else:
        return False
    return True


def _add(case: Case, block: Block, array: Array, new: list[Chosen]) -> str:
    """Plan that new disks join, in place of lost ones where there are any; return the action."""
    replaces = array.degraded or any(FAULTY in status for status in array.members.values())
    # Disks that failed, and disks that are gone: both may have nothing to remove.
    removals = [["mdadm", block.path, "--remove", which] for which in ("failed", "detached")] if replaces else []
    case.plan.commands(
        f"Add {', '.join(device.block.said for device in new)} to array {case.name}",
        *removals,
        ["mdadm", block.path, "--add", *(device.block.path for device in new)],
        SETTLE,
    )
    case.plan.about_to_make(f"array:{case.name}", [device.block.identity for device in new])
    case.plan.again = True
    return "replace" if replaces else "add spare"


def _grow(case: Case, base: Base, to: str, option: str, slots: int, members: list[str]) -> str:
    base.size_bytes = max(base.size_bytes, _estimate(case.pool["raid"]["level"], slots, members, case.state))
    case.plan.commands(f"Grow array {case.name} to {to}", ["mdadm", "--grow", base.path, option], SETTLE)
    case.plan.again = True
    return "grow"


def _keep(case: Case, base: Base, block: Block, array: Array) -> str:
    """An array of which no disk is new: degraded, whole, or on disks that have grown. Returns the action."""
    lost = [member for member, status in array.members.items() if FAULTY in status]
    absent = [entry.entry for entry in case.absent]
    if array.degraded:
        if array.action == "recover":
            return "rebuilding"
        case.warn(
            f"array {case.name} ({block.name}) is degraded: {', '.join([*absent, *lost] or [f'{array.degraded} of its disks'])} does not "
            "serve. It still works, and the next failure may lose all. Replace the disk, name the new one in its place in devices, and run "
            "this again"
        )
        return "DEGRADED"
    if absent:
        case.warn(f"{', '.join(absent)} is not in this host, and array {block.name} is whole without it")
        return "keep"
    there = [case.state.blocks[member].size_bytes for member in array.members if member in case.state.blocks]
    can_grow = array.component_bytes and array.action == "idle" and case.pool["raid"]["level"] != 0 and there
    if can_grow and min(there) - array.component_bytes > GROWN_BYTES:
        return _grow(case, base, "its disks' size", "--size=max", array.slots, list(array.members))
    return "keep"


def _estimate(level: int, slots: int, members: list[str], state: State) -> int:
    there = [state.blocks[member].size_bytes for member in members if member in state.blocks]
    return size_of(level, [min(there)] * slots) if there else 0


def _percent(done: str) -> str:
    """The kernel's `12345 / 98765` as `12 %`."""
    parts = done.split("/")
    if len(parts) == 2 and parts[0].strip().isdigit() and parts[1].strip().isdigit() and int(parts[1]):
        return f"{100 * int(parts[0]) // int(parts[1])} %"
    return ""
