"""A plan that is done, cut off anywhere, and made again comes to the same end, and touches nobody else's disk on the way."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools

from .hosts import Host, pool, select, volume
from .kernel import Kernel, Refused

# As many as the role makes (MOST_PASSES in plugins/modules/storage_plan.py), less the one that installs programs.
PASSES = 7

LVM = [volume("v", "60%", "/srv/v"), volume("w", "rest", "/srv/v/w", filesystem="ext4")]
THIN = [volume("t", "30 GiB", "/srv/t", layout="thin"), volume("r", "rest", "/srv/r")]
POOLS: dict[str, list[dict[str, Any]]] = {
    "xfs on a disk": [pool("one", "SDB", mount="/srv/v")],
    "ext4 on a disk": [pool("one", "SDB", mount="/srv/v", filesystem="ext4")],
    "xfs on a mirror": [pool("one", "SDB", "SDC", level=1, mount="/srv/v")],
    "volumes on a disk": [pool("one", "SDB", volumes=LVM)],
    "volumes on disks": [pool("one", "SDB", "SDC", volumes=[volume("v", "rest", "/srv/v", layout="striped")])],
    "volumes on a mirror": [pool("one", "SDB", "SDC", level=1, volumes=LVM)],
    "thin volumes on RAID 6": [pool("one", *["SDB", "SDC", "SDD", "SDE"], level=6, thin_pool_size="40%", volumes=THIN)],
    "RAID 5 with a spare": [pool("one", *["SDB", "SDC", "SDD", "SDE"], level=5, spares=1, mount="/srv/v")],
    "a mirror whose spare is smaller": [
        pool("one", "SDB", "SDC", "/dev/disk/by-path/pci-sdy", level=1, spares=1, mount="/srv/v")
    ],
    "disks without a serial": [
        pool("one", "/dev/disk/by-path/pci-sdy", "/dev/disk/by-path/pci-sdz", level=1, volumes=LVM)
    ],
    "a rule": [pool("one", select(kind="nvme", min_size="50 GiB", count=2), level=0, mount="/srv/v")],
    "pools below each other": [
        pool("two", "SDC", volumes=[volume("v", "rest", "/srv/mlops/scratch")]),
        pool("one", "SDB", mount="/srv/mlops"),
    ],
}


def fresh() -> Host:
    host = Host().disks("sdb sdc sdd sde").disk("sdx", "SDX").file_system("sdx").signature("sdx", "gpt")
    return host.disk("sdy", None, "50 GiB", media="virtual").disk("sdz", None, "50 GiB", media="virtual")


def one_pass(kernel: Kernel, pools: list[dict[str, Any]], until: int | None = None, allow: bool = False) -> int | None:
    """Plan as the module does, and do the steps; stop after `until` points. Returns how many there were, None for no steps."""
    plan = plan_pools.make(pools, [], kernel.state, allow)
    assert plan.problems == []
    kernel.state.journal = json.loads(json.dumps(plan.noted(kernel.state.journal)))
    if not plan.steps:
        assert {row["action"] for row in plan.rows} == {"keep"}, plan.rows
        return None
    count = 0
    for _point in kernel.run(plan.steps):
        count += 1
        if count == until:
            break
    return count


def converge(kernel: Kernel, pools: list[dict[str, Any]], allow: bool = False) -> int:
    """Passes until there is nothing to do; returns how many points there were."""
    points = 0
    for _number in range(PASSES):
        done = one_pass(kernel, pools, allow=allow)
        if done is None:
            return points
        points += done
    raise AssertionError(
        f"still something to do: {[step['title'] for step in plan_pools.make(pools, [], kernel.state, allow).steps]}"
    )


def ends_at(kernel: Kernel) -> Any:
    """What somebody sees of the host in the end, without the names and numbers that chance gives."""
    state = kernel.state
    return {
        "mounts": sorted((mount.mount, mount.type) for mount in state.mounts),
        "fstab": sorted((entry.mount, entry.type, entry.options) for entry in state.fstab.values()),
        "signatures": sorted((name, [entry.type for entry in found]) for name, found in state.signatures.items()),
        "sizes": sorted(system.size_bytes for system in state.file_systems.values()),
        "arrays": sorted(
            (b.array.level, b.array.slots, b.array.degraded, sorted(b.array.members.items()))
            for b in state.blocks.values()
            if b.array
        ),
        "groups": sorted((g.name, g.extents, g.free_extents) for g in state.groups.values() if g.name),
        "volumes": sorted((v.name, v.size_bytes) for g in state.groups.values() for v in g.volumes.values()),
        "journal": state.journal,
    }


@pytest.mark.parametrize("name", POOLS)
def test_a_bare_host_converges_and_then_nothing_changes(name):
    kernel = Kernel(fresh())
    theirs = copy.deepcopy(kernel.state.blocks["sdx"])
    converge(kernel, POOLS[name])
    assert kernel.state.journal == {}
    assert {mount.mount for mount in kernel.state.mounts} >= {"/", "/srv/v" if "/srv/v" in str(POOLS[name]) else "/"}
    assert not kernel.touched & {"sda", "sda1", "sda2", "sdx"}
    assert kernel.state.blocks["sdx"] == theirs


def cut_everywhere(host: Host, pools: list[dict[str, Any]], allow: bool = False) -> None:
    """Cut the run after each point of it, by a kill and by the power, and go on: the end is the same."""
    kernel = Kernel(copy.deepcopy(host))
    points = converge(kernel, pools, allow)
    expected = ends_at(kernel)
    assert points > 0
    for restart in (False, True):
        for cut in range(1, points + 1):
            kernel, left = Kernel(copy.deepcopy(host)), cut
            while left > 0:
                done = one_pass(kernel, pools, until=left, allow=allow)
                assert done is not None
                left -= done
            if restart:
                kernel.restart()
            try:
                converge(kernel, pools, allow)
            except (AssertionError, Refused) as error:
                raise AssertionError(f"cut after point {cut} of {points}, restart {restart}: {error}") from error
            assert ends_at(kernel) == expected, (cut, restart)
            assert not kernel.touched & {"sda", "sda1", "sda2", "sdx"}


@pytest.mark.parametrize("name", POOLS)
def test_a_run_that_is_cut_off_anywhere_ends_the_same(name):
    cut_everywhere(fresh(), POOLS[name])


def whole(pools: list[dict[str, Any]], host: Host | None = None) -> Host:
    kernel = Kernel(host or fresh())
    converge(kernel, pools)
    return kernel.host


GROWTH = {
    "a disk for the mirror": ([pool("one", "SDB", "SDC", level=1, volumes=LVM)], [pool("one", "SDB", "SDC", "SDD", level=1, volumes=LVM)]),
    "a disk for RAID 5": (
        [pool("one", "SDB", "SDC", "SDD", level=5, volumes=LVM)],
        [pool("one", "SDB", "SDC", "SDD", "SDE", level=5, volumes=LVM)],
    ),
    "a disk for RAID 6, no group": (
        [pool("one", "SDB", "SDC", "SDD", "SDY", level=6, mount="/srv/v")],
        [pool("one", "SDB", "SDC", "SDD", "SDY", "SDE", level=6, mount="/srv/v")],
    ),
    "a spare": (
        [pool("one", "SDB", "SDC", level=1, mount="/srv/v")],
        [pool("one", "SDB", "SDC", "SDD", level=1, spares=1, mount="/srv/v")],
    ),
    "a spare that serves": (
        [pool("one", "SDB", "SDC", "SDD", level=1, spares=1, mount="/srv/v")],
        [pool("one", "SDB", "SDC", "SDD", level=1, mount="/srv/v")],
    ),
    "a disk for the group": ([pool("one", "SDB", volumes=LVM)], [pool("one", "SDB", "SDC", volumes=LVM)]),
    "a larger share": (
        [pool("one", "SDB", volumes=[volume("v", "20%", "/srv/v"), volume("w", "10 GiB", "/srv/w")])],
        [pool("one", "SDB", volumes=[volume("v", "50%", "/srv/v"), volume("w", "12 GiB", "/srv/w")])],
    ),
    "a volume more": (
        [pool("one", "SDB", volumes=[volume("v", "20%", "/srv/v")])],
        [pool("one", "SDB", volumes=[volume("v", "20%", "/srv/v"), volume("w", "rest", "/srv/w")])],
    ),
    "a thin volume more": (
        [pool("one", "SDB", thin_pool_size="70%", volumes=[THIN[0]])],
        [pool("one", "SDB", thin_pool_size="80%", volumes=[*THIN, volume("u", "9 GiB", "/srv/u", layout="thin")])],
    ),
    "other mount options": (
        [pool("one", "SDB", mount="/srv/v")],
        [pool("one", "SDB", mount="/srv/v", mount_options=["relatime"])],
    ),
}  # fmt: skip


def grown_host(name: str) -> Host:
    host = fresh()
    host.state.blocks["sdy"].serial = "SDY"
    for disk in "bcde":
        host.state.blocks[f"sd{disk}"].size_bytes = 50 * 2**30
    return whole(GROWTH[name][0], host)


@pytest.mark.parametrize("name", GROWTH)
def test_what_is_added_is_used_wherever_the_run_is_cut_off(name):
    cut_everywhere(grown_host(name), GROWTH[name][1])


@pytest.mark.parametrize(
    "name",
    ["xfs on a disk", "volumes on a mirror", "volumes on a disk", "thin volumes on RAID 6", "RAID 5 with a spare"],
)
def test_larger_disks_are_used(name):
    host = whole(POOLS[name])
    before = ends_at(Kernel(host))
    for disk in "bcde":
        host.state.blocks[f"sd{disk}"].size_bytes *= 2
    for group in host.state.groups.values():
        for member in group.members:
            member.device_bytes = next(b.size_bytes for b in host.state.blocks.values() if b.path == member.path)
    cut_everywhere(host, POOLS[name])
    kernel = Kernel(host)
    converge(kernel, POOLS[name])
    assert sum(ends_at(kernel)["sizes"]) > sum(before["sizes"])


def test_a_lost_disk_is_replaced_wherever_the_run_is_cut_off():
    host = whole(POOLS["volumes on a mirror"])
    array = host.state.blocks["md127"].array
    array.members["sdc"], array.degraded = "faulty", 1
    del host.state.blocks["sdc"]
    host.state.signatures.pop("sdc")
    cut_everywhere(host, [pool("one", "SDB", "SDD", level=1, volumes=LVM)])


def test_a_disk_that_a_person_named_is_wiped_with_the_switch_wherever_the_run_is_cut_off():
    host = (
        Host().disks("sdb sdc").part("sdb1").signature("sdb", "gpt").file_system("sdb1", "ext4").signature("sdc", "xfs")
    )
    cut_everywhere(host, [pool("one", "SDB", "SDC", level=1, mount="/srv/v")], allow=True)
