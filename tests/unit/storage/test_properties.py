"""The contract over random hosts and random wishes: nothing that was found is written to, and what is begun comes to an end.

What is on each disk is drawn here, by a word, so that what counts as somebody's is not asked of the code under test.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools, plan_removal
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from .hosts import Host, pool, select, volume
from .kernel import Kernel
from .test_convergence import converge, ends_at, one_pass

NAMES = ("sdb", "sdc", "sdd", "sde", "sdf")
# Nobody's.
FREE = ("empty",)
# Somebody's, and not in use: lost only where the switch is on and a person named the disk.
IDLE = (
    "xfs on a partition",
    "ext4",
    "btrfs",
    "zfs",
    "table",
    "orphan",
    "half-made xfs",
    "two signatures",
    "member of theirs",
)
# In use, or not to be known: never lost.
HELD = ("mounted", "swap", "group theirs", "array theirs", "read-only", "unknown", "claimed", "broken", "root")


def furnish(host: Host, name: str, what: str) -> None:
    block = host.state.blocks[name]
    if what in ("xfs on a partition", "mounted", "swap", "root"):
        host.signature(name, "gpt").part(f"{name}1")
        if what == "swap":
            host.swap(f"{name}1")
        else:
            host.file_system(f"{name}1", at={"mounted": f"/theirs/{name}", "root": "/var"}.get(what, ""))
    elif what in ("ext4", "btrfs"):
        host.file_system(name, what)
    elif what == "zfs":
        host.signature(name, "zfs_member", "tank")
    elif what == "table":
        host.signature(name, "dos")
    elif what == "orphan":
        host.signature(name, "LVM2_member")
    elif what == "half-made xfs":
        host.file_system(name, half_made=True)
    elif what == "two signatures":
        host.file_system(name).signature(name, "iso9660")
    elif what == "member of theirs":
        host.signature(name, "linux_raid_member", "theirs")
    elif what == "group theirs":
        host.group(f"theirs{name}", name, v=("linear", 100))
    elif what == "array theirs":
        host.array(f"md{ord(name[2])}", f"theirs{name}", 1, name, slots=2)
    elif what == "read-only":
        block.read_only = True
    elif what == "unknown":
        block.known_to_udev = False
    elif what == "claimed":
        block.claimed = True
    elif what == "broken":
        block.unreadable = "Input/output error"


@st.composite
def hosts(draw: Any) -> tuple[Host, dict[str, str]]:
    host = Host().disks(" ".join(NAMES))
    # Mostly free ones, or nearly every plan would be refused.
    word = st.one_of(st.sampled_from(FREE), st.sampled_from(FREE), st.sampled_from(FREE + IDLE + HELD))
    found = {name: draw(word) for name in NAMES}
    for name, what in found.items():
        host.state.blocks[name].size_bytes = draw(st.sampled_from([40, 50, 100])) * 2**30
        furnish(host, name, what)
    # An old record must free nothing either. What could be of an interrupted run is left to the cuts.
    able = [name for name in NAMES if found[name] not in ("orphan", "half-made xfs")]
    noted = draw(st.lists(st.sampled_from(able), max_size=2)) if able else []
    for what in ("array:one", "group:one", "filesystem:/srv/v"):
        if noted and draw(st.booleans()):
            host.journal(what, *noted)
    return host, found


@st.composite
def wishes(draw: Any) -> list[dict[str, Any]]:
    rule = st.builds(
        lambda count, least: select(kind="nvme", min_size=least, **({"count": count} if count else {})),
        st.integers(0, 3),
        st.sampled_from(["1 GiB", "45 GiB"]),
    )
    named = st.sampled_from(
        [name.upper() for name in NAMES] + [f"/dev/disk/by-id/virtio-{name.upper()}" for name in NAMES]
    )
    pools = []
    for number, name in enumerate(draw(st.sampled_from([["one"], ["one"], ["one", "two"]]))):
        devices = draw(st.lists(st.one_of(named, named, rule), min_size=1, max_size=4, unique_by=str))
        level = draw(st.sampled_from([None, 0, 1, 5, 6, 10]))
        spares = draw(st.sampled_from([0, 0, 1])) if level else 0
        path = f"/srv/{'vw'[number]}"
        kind = draw(st.sampled_from(["xfs", "ext4"]))
        if draw(st.booleans()):
            pools.append(pool(name, *devices, level=level, spares=spares, mount=path, filesystem=kind))
            continue
        layout = draw(st.sampled_from(["linear", "linear", "striped"])) if level is None else "linear"
        volumes = [
            volume("a", draw(st.sampled_from(["30%", "10 GiB", "13 GiB"])), path, layout=layout, filesystem=kind)
        ]
        if draw(st.booleans()):
            volumes.append(volume("b", draw(st.sampled_from(["rest", "50%"])), f"{path}/deeper", filesystem=kind))
        thin = {}
        if draw(st.booleans()):
            thin = {"thin_pool_size": draw(st.sampled_from(["9 GiB", "20%"]))}
            volumes.append(volume("t", "2 GiB", f"{path}/thin", layout="thin"))
        pools.append(pool(name, *devices, level=level, spares=spares, volumes=volumes, **thin))
    return pools


def named(pools: list[dict[str, Any]]) -> set[str]:
    text = [
        device["serial"] if "serial" in device else "" if isinstance(device, dict) else device[-3:]
        for wish in pools
        for device in wish["devices"]
    ]
    return {entry.lower() for entry in text}


def theirs(found: dict[str, str], pools: list[dict[str, Any]], allow: bool) -> set[str]:
    """What may not be written to: kernel names."""
    lost = named(pools) if allow else set()
    kept = {name for name, what in found.items() if what in HELD or (what in IDLE and name not in lost)}
    return {"sda", "sda1", "sda2"} | kept | {f"{name}1" for name in kept}


def seen(host: Host, names: set[str]) -> str:
    """What is on the devices. Mounts are left out: a file system that matches is adopted, which mounts it and writes nothing else."""
    state = host.state
    blocks = {name: replace(state.blocks[name], mounts=[]) for name in names if name in state.blocks}
    return repr(
        [(name, blocks.get(name), state.signatures.get(name), state.file_systems.get(name)) for name in sorted(names)]
    )


def steps_of(plan: Any) -> str:
    """The steps as text, without the UUIDs that are drawn for new file systems."""
    new = [step["uuid"] for step in plan.steps if step["kind"] == "filesystem"]
    text = json.dumps([plan.steps, plan.rows, plan.problems, plan.warnings], sort_keys=True)
    for number, uuid in enumerate(new):
        text = text.replace(uuid, f"new{number}")
    return text


SLOW = settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@SLOW
@given(hosts(), wishes(), st.booleans(), st.data())
def test_nothing_that_was_found_is_written_to_and_every_run_ends(drawn, pools, allow, data):
    host, found = drawn
    mine, before = theirs(found, pools, allow), copy.deepcopy(host)
    plan = plan_pools.make(pools, ["/srv/v/deeper/x"], host.state, allow)
    assert host.state == before.state, "planning changes nothing"
    assert steps_of(plan) == steps_of(plan_pools.make(pools, ["/srv/v/deeper/x"], host.state, allow))
    assert all(problem.startswith(("pool one", "pool two", "storage_pools[")) for problem in plan.problems)
    # Also what a refused plan says would not name them.
    paths = {
        path
        for name in mine
        if name in host.state.blocks
        for path in [host.state.blocks[name].path, *host.state.blocks[name].links]
    }
    if not plan.problems:
        assert not paths & set(json.dumps(plan.steps).replace('"', " ").replace(",", " ").split())
    assume(not plan.problems)
    kernel = Kernel(copy.deepcopy(host))
    points = converge(kernel, pools, allow)
    assert not kernel.touched & mine
    assert seen(kernel.host, mine) == seen(before, mine)
    if points:
        # Cut off anywhere, it ends the same.
        expected = ends_at(kernel)
        left = data.draw(st.integers(1, points))
        kernel = Kernel(copy.deepcopy(host))
        while left > 0:
            left -= one_pass(kernel, pools, until=left, allow=allow) or left
        if data.draw(st.booleans()):
            kernel.restart()
        converge(kernel, pools, allow)
        assert ends_at(kernel) == expected
        assert not kernel.touched & mine


@SLOW
@given(hosts(), wishes(), st.booleans())
def test_removal_touches_nothing_that_was_found(drawn, pools, data):
    host, found = drawn
    # Removal has no say over disks that hold what the pools do not make.
    mine = {name for name, what in found.items() if what not in ("empty", "orphan", "ext4", "half-made xfs")}
    plan = plan_removal.remove(pools, host.state, data)
    assume(not plan.problems)
    before = copy.deepcopy(host)
    kernel = Kernel(host)
    for _point in kernel.run(plan.steps):
        pass
    assert seen(kernel.host, mine) == seen(before, mine)


@SLOW
@given(hosts(), wishes())
def test_what_was_made_is_removed_and_leaves_empty_disks(drawn, pools):
    host, found = drawn
    # What was adopted is removed, too.
    assume(all(found.get(name, "empty") == "empty" for name in named(pools)))
    assume(not plan_pools.make(pools, [], host.state).problems)
    before = copy.deepcopy(host)
    kernel = Kernel(host)
    converge(kernel, pools)
    plan = plan_removal.remove(pools, kernel.state, True)
    assert plan.problems == []
    for _point in kernel.run(plan.steps):
        pass
    for name in NAMES:
        assert kernel.state.signatures.get(name) == before.state.signatures.get(name)
    assert {mount.mount for mount in kernel.state.mounts} == {mount.mount for mount in before.state.mounts}
    assert not plan_removal.remove(pools, kernel.state, True).steps


@SLOW
@given(wishes(), st.lists(st.sampled_from(NAMES), max_size=2), st.integers(1, 60))
def test_what_grows_never_shrinks_anything(pools, larger, gib):
    """The kernel of these tests raises where anything shrinks."""
    host = Host().disks(" ".join(NAMES))
    assume(not plan_pools.make(pools, [], host.state).problems)
    kernel = Kernel(host)
    converge(kernel, pools)
    before = ends_at(kernel)
    for name in larger:
        host.state.blocks[name].size_bytes += gib * 2**30
    for group in host.state.groups.values():
        for member in group.members:
            member.device_bytes = kernel.find(member.path).size_bytes
    for wish in pools:
        for entry in wish.get("volumes") or []:
            entry["size"] = {"10 GiB": "11 GiB", "2 GiB": "3 GiB"}.get(entry["size"], entry["size"])
    if plan_pools.make(pools, [], host.state).problems:
        return
    converge(kernel, pools)
    after = ends_at(kernel)
    assert all(new >= old for new, old in zip(after["sizes"], before["sizes"]))
    # And back: what is lowered is refused, with both sizes.
    for wish in pools:
        for entry in wish.get("volumes") or []:
            if entry["size"] in ("11 GiB", "3 GiB"):
                entry["size"] = "1 GiB"
                plan = plan_pools.make(pools, [], host.state)
                assert any(
                    "and size asks for 1 GiB; a volume is never made smaller" in problem for problem in plan.problems
                )
