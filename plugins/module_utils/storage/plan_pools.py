# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of all pools: from what is wanted and what is there to steps, or to reasons to do nothing."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_arrays import Base, plan_array
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_file_systems import announce, plan_file_system
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_groups import plan_group, plan_volumes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Chosen, choose
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import ARRAY_MEMBER
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import PROGRAMS, State


def needed_programs(pools: list[dict[str, Any]]) -> list[str]:
    """Return the programs that the pools need, in the order of PROGRAMS."""
    needed = set()
    for pool in pools:
        wishes = pool.get("volumes") or [pool]
        needed |= {f"mkfs.{wish['filesystem']}" for wish in wishes}
        if pool.get("raid"):
            needed.add("mdadm")
        if pool.get("volumes"):
            needed.add("lvm")
        if pool.get("thin_pool_size"):
            needed.add("thin_check")
    return [program for program in PROGRAMS if program in needed]


def owned(pool: dict[str, Any], block: Block, state: State) -> bool:
    """Whether a disk is part of the pool already, or was about to be when a run was interrupted."""
    name = pool["name"]
    if pool.get("raid"):
        if any(
            other.array and other.array.name == name and block.name in other.array.members
            for other in state.blocks.values()
        ):
            return True
        labels = [entry.label for entry in state.signatures.get(block.name, []) if entry.type == ARRAY_MEMBER]
        return any(label.rpartition(":")[2] == name for label in labels)
    if pool.get("volumes"):
        group = state.groups.get(name)
        if group and any(state.at(member.path) is block for member in group.members):
            return True
        return interrupted(state, f"group:{name}", block)
    mount = (pool.get("mount") or "").rstrip("/")
    entry = state.fstab.get(mount)
    system = state.file_systems.get(block.name)
    return (
        mount in block.mounts
        or bool(entry and system and entry.source == f"UUID={system.uuid}")
        or interrupted(state, f"filesystem:{mount}", block)
    )


def make(pools: list[dict[str, Any]], quotas: list[str], state: State, allow_destroy: bool = False) -> Plan:
    """Return the plan. `quotas` are directories with a quota: the file system that holds one is mounted with quotas.

    All problems are collected over all pools; with any of them, nothing of the plan may be done.
    """
    plan = Plan(problems=inputs.problems(pools))
    if plan.problems:
        return plan
    plan.packages = [PROGRAMS[program] for program in needed_programs(pools) if program not in state.programs]
    chosen, absent, problems = choose(pools, state, lambda pool, block: owned(pool, block, state))
    plan.problems += problems
    mounts = [mount for pool in pools for _place, mount in inputs.mount_points(pool)]
    for pool in pools:
        # One pool's open questions must not hold back another's steps.
        before, plan.again = plan.again, False
        if not any(problem.startswith(f"pool {pool['name']}:") for problem in plan.problems):
            _pool(plan, pool, chosen[pool["name"]], absent[pool["name"]], quotas, mounts, state, allow_destroy)
        plan.again = plan.again or before
    # A mount below another one comes after it, and a file system grows when it is mounted.
    last = [step for step in plan.steps if step["kind"] in ("mount", "grow")]
    last.sort(key=lambda step: (step["kind"] == "grow", step.get("mount", "").count("/")))
    plan.steps = [step for step in plan.steps if step["kind"] not in ("mount", "grow")] + last
    return plan


def _pool(
    plan: Plan,
    pool: dict[str, Any],
    chosen: list[Chosen],
    absent: list[Any],
    quotas: list[str],
    mounts: list[str],
    state: State,
    allow_destroy: bool,
) -> None:
    where = f"pool {pool['name']}"
    if not chosen:
        names = " and ".join(entry.entry for entry in absent)
        plan.problems.append(f"{where}: {names} is not in this host; check the name (ls -l /dev/disk/by-id)")
        return
    if pool.get("raid"):
        base = plan_array(plan, pool, chosen, absent, state, allow_destroy)
        if base is None:
            return
        # What is missing below an array is the array's matter.
        bases, absent = [base], []
    else:
        bases = [Base(device.block.lasting, device.block.size_bytes, device.block, device.named) for device in chosen]
    if pool.get("volumes"):
        group = plan_group(plan, pool, bases, absent, state, allow_destroy)
        if group is None:
            return
        done = plan_volumes(plan, pool, group, len(bases), state)
        for volume in pool["volumes"]:
            if volume["name"] in done:
                base = Base(
                    f"/dev/{pool['name']}/{volume['name']}",
                    done[volume["name"]],
                    state.volume(pool["name"], volume["name"]),
                )
                there = state.groups.get(pool["name"])
                if base.block is None and there and volume["name"] in there.volumes:
                    if not any(problem.startswith(f"{where}, volume {volume['name']}:") for problem in plan.problems):
                        plan.problems.append(
                            f"{where}, volume {volume['name']}: lvm has it and the kernel does not, so what is on it cannot be told; activate it "
                            f"('lvchange --activate y {pool['name']}/{volume['name']}')"
                        )
                    continue
                if base.block is None and plan.again:
                    announce(plan, volume, done[volume["name"]], _has_quota(volume["mount"], quotas, mounts))
                    continue
                plan_file_system(
                    plan,
                    f"{where}, volume {volume['name']}",
                    volume,
                    base,
                    _has_quota(volume["mount"], quotas, mounts),
                    state,
                    allow_destroy,
                )
        return
    if absent:
        plan.problems.append(f"{where}: {absent[0].entry} is not in this host; check the name (ls -l /dev/disk/by-id)")
        return
    if len(bases) > 1:
        plan.problems.append(
            f"{where}: one file system cannot lie on {len(bases)} disks as they are; add raid, or volumes"
        )
        return
    if bases[0].block is None:
        announce(plan, pool, bases[0].size_bytes, _has_quota(pool["mount"], quotas, mounts))
        return
    plan_file_system(plan, where, pool, bases[0], _has_quota(pool["mount"], quotas, mounts), state, allow_destroy)


def _has_quota(mount: str, quotas: list[str], mounts: list[str]) -> bool:
    """Whether a directory with a quota lies on this mount, and on no deeper one."""
    mount = mount.rstrip("/")

    def holder(path: str) -> str:
        fitting = [place for place in mounts if path == place or path.startswith(place.rstrip("/") + "/")]
        return max(fitting, key=len, default="")

    return any(holder(path) == mount for path in quotas)
