"""What a container or a session may use, by control groups of both versions."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import limits
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .trees import write

GIB = 2**30
STATUS = {"/proc/self/status": "Cpus_allowed_list:\t0-7"}


def read(root, files, table=()):
    found = limits.read(Tree(str(write(root, {**STATUS, **files}))), list(table), 64 * GIB, 16)
    return found["cgroup"], found["memory_bytes"], found["cpus"]


V1 = {"/proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/docker/1"}


def test_v1_with_the_containers_group_as_root(tmp_path):
    files = {
        **V1,
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 * GIB),
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert read(tmp_path, files) == (1, 4 * GIB, 2.5)


def test_v1_without_limits(tmp_path):
    files = {
        **V1,
        "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "9223372036854771712",
        "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "-1",
        "/sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000",
    }
    assert read(tmp_path, files) == (1, 64 * GIB, 8.0)


def test_the_lowest_limit_on_the_way_up_counts(tmp_path):
    files = {
        "/proc/self/cgroup": "0::/a/b/c",
        "/sys/fs/cgroup/a/memory.max": str(3 * GIB),
        "/sys/fs/cgroup/a/b/memory.max": "max",
        "/sys/fs/cgroup/a/b/c/memory.max": str(5 * GIB),
        "/sys/fs/cgroup/a/b/cpu.max": "50000 100000",
    }
    assert read(tmp_path, files) == (2, 3 * GIB, 0.5)


def test_v2_where_the_mount_table_has_it(tmp_path):
    files = {"/proc/self/cgroup": "0::/", "/elsewhere/memory.max": str(GIB)}
    assert read(tmp_path, files, [Mount("0:1", "/elsewhere", "cgroup2", "none")]) == (2, GIB, 8.0)


def test_a_group_outside_the_view_is_its_root(tmp_path):
    files = {"/proc/self/cgroup": "0::/../../x", "/sys/fs/cgroup/memory.max": str(GIB), "/sys/x/memory.max": "1"}
    assert read(tmp_path, files) == (2, GIB, 8.0)


@pytest.mark.parametrize("files", [{}, {"/proc/self/cgroup": "0::/"}, {"/proc/self/cgroup": "nonsense"}])
def test_what_is_not_mounted_is_not_known(files, tmp_path):
    tree = Tree(str(write(tmp_path, {**STATUS, **files})))
    facts = limits.read(tree, [], 64 * GIB, 16)
    assert facts == {"cgroup": None, "memory_bytes": None, "cpus": None, "cpuset": list(range(8))}
    assert tree.notes["limits.memory_bytes"][1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", None), ("150000 100000", 1.5), ("1 0", None), ("0 100000", None), ("x", None), (None, None)],
)
def test_quota(text, expected):
    assert limits.quota(text) == expected
