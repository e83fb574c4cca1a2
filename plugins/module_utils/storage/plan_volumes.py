# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logical volumes of a pool's group: made, adopted, grown. Nothing is ever made smaller."""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.lvm import Group, Volume
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State

THIN_POOL = "thinpool"


def plan_volumes(plan: Plan, pool: dict[str, Any], group: Group, members: int, state: State) -> dict[str, int]:
    """Plan the volumes and return their sizes in bytes by name, those that this plan makes included.

    `members` is how many devices a striped volume goes over. Steps are only planned when the group is as it shall be: before
    that, sizes are estimates, good enough to see that something cannot fit.
    """
    name, where = pool["name"], f"pool {pool['name']}"
    settled = not plan.again
    extent, total = group.extent_bytes, group.extents
    thick = [volume for volume in pool["volumes"] if volume["layout"] != "thin"]
    thin = [volume for volume in pool["volumes"] if volume["layout"] == "thin"]
    wanted: dict[str, int] = {}
    if pool.get("thin_pool_size"):
        wanted[THIN_POOL] = _extents(pool["thin_pool_size"], extent, total, 1)
    # A striped volume keeps its stripes when disks are added to the group.
    stripes = {
        volume["name"]: group.volumes[volume["name"]].stripes
        if volume["name"] in group.volumes
        else (members if volume["layout"] == "striped" else 1)
        for volume in thick
    }
    for volume in thick:
        if volume["size"] != "rest":
            wanted[volume["name"]] = _extents(volume["size"], extent, total, stripes[volume["name"]])
        if volume["layout"] == "striped" and members < 2:
            plan.problems.append(
                f"{where}, volume {volume['name']}: layout striped needs at least two disks; the group has one"
            )
            return {}
    # Which disks have free extents only matters to what is striped, and that comes first.
    free = [member.free_bytes // extent for member in group.members]
    for volume in thick:
        key = volume["name"]
        if stripes[key] == 1 or volume["size"] == "rest":
            continue
        there = _has(group, key, extent)
        room = _take(free, stripes[key], max(0, wanted[key] - there))
        if there and wanted[key] > there + room and sizes.percent(volume["size"]) is not None:
            # A share is of what it can have: one disk more does not make it larger, and is no reason to stop.
            wanted[key] = there + room
        elif wanted[key] > there + room and wanted[key] - there <= group.free_extents:
            plan.problems.append(
                f"{where}, volume {key}: it lies on {stripes[key]} disks at a time, and there is not so much free on so many of them; make it "
                f"smaller, or add {stripes[key]} disks"
            )
            return {}
    more = {key: max(0, count - _has(group, key, extent)) for key, count in wanted.items()}
    left = group.free_extents - sum(more.values())
    metadata = 0
    if pool.get("thin_pool_size") and THIN_POOL not in group.volumes:
        # Its metadata and the spare of these: 48 bytes a chunk (lvmthin(7)), in whole extents, twice.
        metadata = 2 * max(1, math.ceil(wanted[THIN_POOL] * extent / (64 * sizes.KIB) * 64 / extent))
        left -= metadata
    if left < 0:
        plan.problems.append(
            f"{where}: its volumes want {sizes.shown((sum(more.values())) * extent)} more"
            + (f" and {sizes.shown(metadata * extent)} for the thin pool's metadata" if metadata else "")
            + f", and group {name} has {sizes.shown(group.free_extents * extent)} free of {sizes.shown(total * extent)}; "
            "make them smaller, or add disks"
        )
        return {}
    rest = next((volume for volume in thick if volume["size"] == "rest"), None)
    if rest:
        room = left if stripes[rest["name"]] == 1 else _take(free, stripes[rest["name"]], left)
        count = _has(group, rest["name"], extent) + room
        wanted[rest["name"]] = count - count % stripes[rest["name"]]
        if not wanted[rest["name"]]:
            plan.problems.append(f"{where}, volume {rest['name']}: the others leave nothing for it; make them smaller")
            return {}
    done: dict[str, int] = {}
    # What needs room on several disks at a time comes before what fills one after the other.
    waits = rest if THIN_POOL in wanted and THIN_POOL not in group.volumes else None
    striped = [volume for volume in thick if stripes[volume["name"]] > 1 and volume is not waits]
    for volume in striped:
        key = volume["name"]
        done[key] = _volume(plan, pool, group, key, wanted[key], volume["layout"], stripes[key], settled)
    if THIN_POOL in wanted:
        done[THIN_POOL] = _volume(plan, pool, group, THIN_POOL, wanted[THIN_POOL], "thin pool", 1, settled)
        if THIN_POOL not in group.volumes and rest and settled:
            # What is left for the rest is known when lvm has made the pool's metadata.
            plan.again = True
            settled = False
    for volume in thick:
        key = volume["name"]
        if volume not in striped:
            done[key] = _volume(plan, pool, group, key, wanted[key], volume["layout"], stripes[key], settled)
    for volume in thin:
        count = math.ceil(sizes.to_bytes(volume["size"]) / extent)
        done[volume["name"]] = _volume(plan, pool, group, volume["name"], count, "thin", 1, settled)
    promised = sum(done[volume["name"]] for volume in thin)
    if thin and promised > done[THIN_POOL] and not all(volume["overcommit"] for volume in thin):
        plan.problems.append(
            f"{where}: the thin volumes promise {sizes.shown(promised)}, and their pool has {sizes.shown(done[THIN_POOL])}; make them smaller, or set "
            "overcommit on each of them and watch how full the pool gets (a full one stops all writes)"
        )
    return done


def _extents(size: str, extent: int, total: int, stripes: int) -> int:
    share = sizes.percent(size)
    if share is not None:
        count = math.floor(total * share / 100)
        return count - count % stripes
    count = math.ceil(sizes.to_bytes(size) / extent)
    return count + -count % stripes


def _take(free: list[int], stripes: int, wanted: int) -> int:
    """Take up to `wanted` extents from `free` (extents by disk) as lvm does for a striped volume; return how many it were."""
    got = 0
    while True:
        most = sorted(range(len(free)), key=lambda disk: -free[disk])[:stripes]
        count = min([(wanted - got) // stripes, *(free[disk] for disk in most)])
        if len(most) < stripes or count <= 0:
            return got
        for disk in most:
            free[disk] -= count
        got += count * stripes


def _has(group: Group, name: str, extent: int) -> int:
    return group.volumes[name].size_bytes // extent if name in group.volumes else 0


def _volume(
    plan: Plan, pool: dict[str, Any], group: Group, name: str, count: int, layout: str, stripes: int, settled: bool
) -> int:
    """Plan one volume of `count` extents; return the bytes that it has in the end."""
    size = count * group.extent_bytes
    here, wanted = f"pool {pool['name']}, volume {name}", f"{layout}, {sizes.shown(size)}"
    what = f"volume {pool['name']}/{name}"
    step = {
        "group": pool["name"],
        "volume": name,
        "layout": layout,
        "stripes": stripes,
        "size": f"{size // sizes.MIB}m",
    }
    volume = group.volumes.get(name)
    if volume is None:
        plan.row(what, wanted, "nothing", "make")
        if settled:
            plan.step("volume", f"Make volume {pool['name']}/{name}", **step)
        return size
    problem = _differs(volume, layout, f"{pool['name']}/{name}")
    if problem:
        plan.problems.append(f"{here}: {problem}")
        return volume.size_bytes
    found = f"{layout}, {sizes.shown(volume.size_bytes)}" + (
        f", {volume.data_percent:.0f} % full" if layout == "thin pool" else ""
    )
    # What a volume has more than it shall have is no more than the rounding of its stripes, or it would have to shrink.
    if volume.size_bytes - size >= stripes * group.extent_bytes:
        plan.problems.append(
            f"{here}: it has {sizes.shown(volume.size_bytes)}, and size asks for {sizes.shown(size)}; a volume is never made smaller, so give "
            "at least what it has"
        )
        return volume.size_bytes
    if size - volume.size_bytes >= stripes * group.extent_bytes:
        plan.row(what, wanted, found, "grow")
        if settled:
            plan.step("volume", f"Grow volume {pool['name']}/{name}", **step)
        return size
    plan.row(what, wanted, found, "keep")
    return volume.size_bytes


def _differs(volume: Volume, layout: str, path: str) -> str:
    kinds = volume.layout.split(",")
    found = (
        "thin pool"
        if "thin" in kinds and "pool" in kinds
        else "thin"
        if "thin" in kinds
        else "striped"
        if volume.stripes > 1
        else "linear"
    )
    if not volume.active:
        return f"it is there and not active; activate it ('lvchange --activate y {path}') or find out why it was switched off"
    if not ({"linear", "striped", "thin"} & set(kinds)):
        return f"it is there with layout {volume.layout}, which this role does not make; leave it to whoever made it, and use another name"
    if found != layout:
        return f"it is there with layout {found}, and layout asks for {layout}; set what is there"
    return ""
