# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of all pools: from what is wanted and what is there to steps, or to reasons to do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inputs
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Base, Case, Plan, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_arrays import plan_array
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_file_systems import announce, plan_file_system
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_groups import plan_group
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_volumes import plan_volumes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import choose
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
    counted = _counted(quotas, [mount for pool in pools for _place, mount in inputs.mount_points(pool)])
    for pool in pools:
        # One pool's open questions must not hold back another's steps.
        before, plan.again = plan.again, False
        if not any(problem.startswith(f"pool {pool['name']}:") for problem in plan.problems):
            _pool(Case(plan, pool, chosen[pool["name"]], absent[pool["name"]], state, allow_destroy), counted)
        plan.again = plan.again or before
    # A mount below another one comes after it, and a file system grows when it is mounted.
    last = [step for step in plan.steps if step["kind"] in ("mount", "grow")]
    last.sort(key=lambda step: (step["kind"] == "grow", step.get("mount", "").count("/")))
    plan.steps = [step for step in plan.steps if step["kind"] not in ("mount", "grow")] + last
    return plan


def _pool(case: Case, counted: set[str]) -> None:
    """Plan one pool. `counted` are the mount points with a directory that has a quota."""
    pool = case.pool
    if not case.chosen:
        case.refuse_absent()
        return
    if pool.get("raid"):
        array = plan_array(case)
        if array is None:
            return
        # What is missing below an array is the array's matter.
        case, bases = replace(case, absent=[]), [array]
    else:
        bases = [
            Base(device.block.lasting, device.block.size_bytes, device.block, device.named) for device in case.chosen
        ]
    if pool.get("volumes"):
        group = plan_group(case, bases)
        done = plan_volumes(case.plan, pool, group, len(bases), case.state) if group else {}
        for volume in pool["volumes"]:
            if volume["name"] in done:
                _volume(case, volume, done[volume["name"]], counted)
    elif case.absent:
        case.refuse_absent()
    elif len(bases) > 1:
        case.refuse(f"one file system cannot lie on {len(bases)} disks as they are; add raid, or volumes")
    elif bases[0].block is None:
        announce(case.plan, pool, bases[0].size_bytes, pool["mount"].rstrip("/") in counted)
    else:
        plan_file_system(case, f"pool {case.name}", pool, bases[0], pool["mount"].rstrip("/") in counted)


def _volume(case: Case, volume: dict[str, Any], size: int, counted: set[str]) -> None:
    """Plan the file system of a volume that has, or will have, so many bytes."""
    name, where = volume["name"], f"pool {case.name}, volume {volume['name']}"
    base = Base(f"/dev/{case.name}/{name}", size, case.state.volume(case.name, name))
    group = case.state.groups.get(case.name)
    if base.block is None and group and name in group.volumes:
        if not any(problem.startswith(where + ":") for problem in case.plan.problems):
            case.plan.problems.append(
                f"{where}: lvm has it and the kernel does not, so what is on it cannot be told; activate it "
                f"('lvchange --activate y {case.name}/{name}')"
            )
    elif base.block is None and case.plan.again:
        announce(case.plan, volume, size, volume["mount"].rstrip("/") in counted)
    else:
        plan_file_system(case, where, volume, base, volume["mount"].rstrip("/") in counted)


def _counted(quotas: list[str], mounts: list[str]) -> set[str]:
    """Return the mounts on which, and on no deeper one, a directory with a quota lies."""

    def holder(path: str) -> str:
        fitting = [place for place in mounts if path == place or path.startswith(place.rstrip("/") + "/")]
        return max(fitting, key=len, default="")

    return {holder(path) for path in quotas}
