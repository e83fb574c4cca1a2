# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What control groups leave to the process that gathers: in a container the container's share, else that of its session.

The kernel's cgroup-v1 and cgroup-v2 documents name the files. A limit holds for all groups below it, so the lowest one on
the way from the process's group up to the mounted root counts. In a container the upper groups are not there to see; the
one that is mounted as root is the container's own.
"""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.lists import cpu_list
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

GROUP = "/proc/self/cgroup"
STATUS = "/proc/self/status"
CGROUP = "/sys/fs/cgroup"
SOURCES = {"*": GROUP, "cpuset": STATUS}
# v1 says "no limit" as the largest multiple of a page in 63 bits.
NO_LIMIT = 2**62
# Deeper groups than this are none.
MAX_DEPTH = 64


def parse_groups(text: str | None) -> dict[str, str]:
    """The process's group by v1 controller (`memory`, `cpu`); that of v2 under the empty name."""
    found: dict[str, str] = {}
    for line in (text or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and fields[2].startswith("/"):
            for controller in fields[1].split(","):
                found.setdefault(controller, fields[2])
    return found


def places(root: str, group: str) -> list[str]:
    """The directories from the group's up to the root's; of a group outside the view (`/../x`) only the root."""
    parts = [part for part in group.split("/") if part]
    if ".." in parts or len(parts) > MAX_DEPTH:
        parts = []
    return [root + "".join(f"/{part}" for part in parts[:count]) for count in range(len(parts), -1, -1)]


def quota(text: str | None) -> float | None:
    """CPUs out of v2's `150000 100000` (microseconds of each period); None for `max` and for nonsense."""
    match = re.fullmatch(r"([0-9]{1,12}) ([0-9]{1,12})", text or "")
    if not match or not int(match.group(2)):
        return None
    return int(match.group(1)) / int(match.group(2)) or None


def _v2(tree: Tree, root: str, group: str) -> tuple[list[int], list[float]]:
    memory, cpus = [], []
    for place in places(root, group):
        memory.append(tree.integer(place + "/memory.max"))
        cpus.append(quota(tree.text(place + "/cpu.max")))
    return [size for size in memory if size is not None and size > 0], [share for share in cpus if share]


def _v1(tree: Tree, groups: dict[str, str]) -> tuple[list[int], list[float]]:
    memory, cpus = [], []
    for place in places(CGROUP + "/memory", groups["memory"]) if "memory" in groups else []:
        size = tree.integer(place + "/memory.limit_in_bytes")
        if size is not None and 0 < size < NO_LIMIT:
            memory.append(size)
    for place in places(CGROUP + "/cpu", groups["cpu"]) if "cpu" in groups else []:
        share = tree.integer(place + "/cpu.cfs_quota_us")
        # -1 is "no quota"; then the period does not matter.
        if share is not None and share > 0:
            period = tree.integer(place + "/cpu.cfs_period_us")
            if period is not None and period > 0:
                cpus.append(share / period)
    return memory, cpus


def allowed_cpus(status: str | None) -> list[int] | None:
    """The CPUs that the kernel lets the process run on, whoever narrowed them: cpuset, container engine, taskset."""
    match = re.search(r"^Cpus_allowed_list:\s*(\S+)$", status or "", re.M)
    return cpu_list(match.group(1)) if match else None


def version_of(tree: Tree, groups: dict[str, str], unified: str) -> int | None:
    """Which version limits the process; None, with a note, when it is not there to see."""
    # Beside v1, v2 only groups processes and limits nothing.
    version = 1 if "memory" in groups or "cpu" in groups else 2 if "" in groups else None
    if version is None:
        tree.note("limits.cgroup", GROUP, tree.reason(GROUP))
    elif not tree.exists(CGROUP if version == 1 else unified):
        tree.note("limits.cgroup", unified, "not mounted")
        version = None
    return version


def read(tree: Tree, table: list[Mount], memory_total: int | None, threads: int | None) -> dict[str, Any]:
    """The `limits` facts: cgroup (1, 2), memory_bytes, cpus (may be a fraction) and cpuset (numbers of CPUs).

    memory_bytes and cpus are what is left to use: the limit, or all of the host's where there is none.
    """
    groups = parse_groups(tree.text(GROUP))
    cpuset = allowed_cpus(tree.text(STATUS)) or None
    unified = next((mount.mount for mount in reversed(table) if mount.type == "cgroup2"), CGROUP)
    version = version_of(tree, groups, unified)
    facts: dict[str, Any] = {"cgroup": version, "memory_bytes": None, "cpus": None, "cpuset": cpuset}
    if version is None:
        for name in ("memory_bytes", "cpus"):
            tree.note(f"limits.{name}", *tree.notes["limits.cgroup"])
        return facts
    sizes, shares = _v1(tree, groups) if version == 1 else _v2(tree, unified, groups[""])
    if memory_total:
        facts["memory_bytes"] = min([memory_total, *sizes])
    counts = [count for count in (threads, len(cpuset or [])) if count]
    if counts:
        facts["cpus"] = float(min([*counts, *shares]))
    return facts
