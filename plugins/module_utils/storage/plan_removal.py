# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: mounts of the pools undone, and, only where it is asked for twice, volumes, arrays and signatures removed."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_pools import owned
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import choose
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import State


def remove(pools: list[dict[str, Any]], state: State, data: bool) -> Plan:
    """Return the plan that takes the pools away. `data` is whether volumes, arrays and signatures go, too."""
    plan = Plan(problems=inputs.problems(pools))
    if plan.problems:
        return plan
    mounts = sorted(
        (mount.rstrip("/") for pool in pools for _place, mount in inputs.mount_points(pool)), key=len, reverse=True
    )
    for mount in mounts:
        mounted = any(entry.mount == mount for entry in state.mounts)
        if not mounted and mount not in state.fstab:
            continue
        plan.row(f"mount {mount}", "absent", "mounted" if mounted else "in fstab", "unmount")
        plan.step("unmount", f"Unmount {mount}", mount=mount)
    if not data:
        return plan
    chosen, _absent, problems = choose(pools, state, lambda pool, block: owned(pool, block, state))
    plan.problems += [problem for problem in problems if " finds " not in problem]
    for pool in pools:
        name, group = pool["name"], state.groups.get(pool["name"])
        disks = [device.block for device in chosen[name] if owned(pool, device.block, state)]
        arrays = [block for block in state.blocks.values() if block.array and block.array.name == name]
        if pool.get("volumes") and group:
            wanted = {volume["name"] for volume in pool["volumes"]} | {"thinpool"}
            others = sorted(
                volume
                for volume in group.volumes
                if volume not in wanted and "thin" not in group.volumes[volume].layout
            )
            if others:
                plan.problems.append(
                    f"pool {name}: group {name} also holds {', '.join(others)}, which this role did not make; remove or move that first"
                )
                continue
            plan.row(f"group {name}", "absent", f"{len(group.volumes)} volumes", "REMOVE")
            plan.commands(
                f"Remove group {name} with its volumes",
                ["vgremove", "--force", "--yes", name],
                ["pvremove", *(m.path for m in group.members)],
            )
        for block in arrays if pool.get("raid") else []:
            plan.row(f"array {name}", "absent", block.name, "REMOVE")
            plan.commands(f"Remove array {name}", ["wipefs", "--all", block.path], ["mdadm", "--stop", block.path])
        if disks:
            plan.row(f"disks of {name}", "empty", ", ".join(block.said for block in disks), "WIPE")
            plan.commands(
                f"Wipe the disks of {name}",
                ["wipefs", "--all", "--backup", *(block.path for block in disks)],
                ["udevadm", "settle"],
            )
    return plan
