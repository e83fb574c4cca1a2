"""The storage planner on recorded machines: which disks it sees, which the system is on, and that it never takes one in use."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import disks, mounts
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.storage import blocks, plan_pools, selection
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import Signature
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import PROGRAMS, State

from .place import names
from .processors import write
from .test_recorded_machines import MACHINES
from .test_storage import bytes_of, places_of
from .ttar import unpack

USES = ("storage/gpud__lsblk*", "hwloc/*.tar.bz2", "ghw-snapshots/*", "pci/procfs__fixtures.ttar")
EVERYTHING = [{"min_size": "1 MB"}, *({"kind": kind} for kind in ("nvme", "ssd", "hdd", "virtual")), {"model": ".*"}]


def state_of(root: Path, signatures: dict[str, list[Signature]] | None = None) -> State:
    """What the planner would have gathered there; the content of disks is in no record."""
    tree = Tree(str(root))
    table = mounts.read(tree)
    return State(blocks.read(tree, table), signatures or {}, mounts=table, programs=set(PROGRAMS))


def taken(state: State, allow: bool = True) -> set[str]:
    """The disks that any rule takes, and those that any step names, with the switch on."""
    found = set()
    for rule in EVERYTHING:
        wish = {
            "name": "data", "devices": [{"select": rule}], "raid": None, "thin_pool_size": None, "mount": None,
            "volumes": [
                {
                    "name": "v", "size": "rest", "layout": "linear", "overcommit": False, "filesystem": "xfs",
                    "mkfs_options": [], "mount": "/srv/v", "mount_options": [],
                }
            ],
        }  # fmt: skip
        chosen, _absent, problems = selection.choose(
            [wish], state, lambda pool, block: plan_pools.owned(pool, block, state)
        )
        names = {device.block.name for device in chosen["data"]}
        assert names or problems
        plan = plan_pools.make([wish], [], state, allow)
        paths = {path for step in plan.steps for path in step.get("devices", [])}
        assert {state.at(path).name for path in paths} == (set() if plan.problems else names)
        found |= names
    return found


def check(root: Path) -> State:
    state = state_of(root)
    tree = Tree(str(root))
    facts = {disk["name"]: disk for disk in disks.read(tree, mounts.read(tree))}
    seen = {
        name
        for name, block in state.blocks.items()
        if block.kind == "disk" and not block.removable and not name.startswith("bcache")
    }
    assert seen == set(facts)
    for name, disk in facts.items():
        block = state.blocks[name]
        assert (block.size_bytes, block.media, block.serial or None) == (
            disk["size_bytes"],
            disk["kind"],
            disk["serial"],
        )
    # No rule takes what the facts call in use, or do not know.
    assert all(facts[name]["in_use"] == [] for name in taken(state))
    return state


@pytest.mark.parametrize("name", MACHINES)
def test_disks_of_hwloc_machines(name, unpacked):
    check(unpacked(name))


@pytest.mark.parametrize("name", names("ghw-snapshots/*"))
def test_disks_of_snapshots(name, recorded, tmp_path):
    subprocess.run(["tar", "-xzf", recorded / name, "-C", tmp_path, "-m", "--no-same-owner"], check=True)
    state = check(tmp_path)
    # All of them hold the system they were recorded on.
    assert taken(state) == set()


def test_disks_and_arrays_of_many_kinds(recorded, tmp_path):
    assert unpack((recorded / "pci/procfs__fixtures.ttar").read_text(), tmp_path) > 2000
    state = state_of(tmp_path / "fixtures")
    assert taken(state) == set()
    arrays = {name: block.array for name, block in state.blocks.items() if block.array}
    assert {name for name, array in arrays.items() if array.degraded} == {"md5", "md6"}
    assert arrays["md0"].level == "raid0"


def rows(devices: list[dict]) -> list[dict]:
    return [entry for device in devices for entry in [device, *rows(device.get("children") or [])]]


def write_tree(devices: list[dict], root: Path) -> dict[str, list[Signature]]:
    """sysfs, udev's database and the mount table as they were where lsblk said this; returns the signatures."""
    signatures: dict[str, list[Signature]] = {}
    mounted: set[str] = set()
    numbers: dict[str, int] = {}

    def number(device: dict) -> str:
        return f"259:{numbers.setdefault(device['name'].rpartition('/')[2], len(numbers) + 1)}"

    def enter(device: dict, place: str) -> str:
        name = device["name"].rpartition("/")[2]
        write(root, f"{place}/size", bytes_of(device["size"]) // 512)
        write(root, f"{place}/dev", number(device))
        write(root, f"run/udev/data/b{number(device)}", "E:DEVTYPE=disk")
        if device.get("fstype"):
            signatures[name] = [Signature(device["fstype"], device.get("label") or "", device.get("uuid") or "")]
        for point in places_of(device):
            if point == "[SWAP]":
                continue
            mounted.add(f"1 1 {number(device)} / {point} rw - {device.get('fstype') or 'xfs'} /dev/{name} rw")
        for child in device.get("children") or []:
            below = child["name"].rpartition("/")[2]
            if child["type"] == "part":
                write(root, f"{place}/{below}/partition", 1)
                enter(child, f"{place}/{below}")
                continue
            write(root, f"{place}/holders/{below}/x", "")
            inner = f"sys/block/{below}"
            enter(child, inner)
            write(root, f"{inner}/slaves/{name}/x", "")
            if child["type"].startswith("raid"):
                write(root, f"{inner}/md/level", child["type"])
            else:
                write(root, f"{inner}/dm/name", below)
        return name

    for device in devices:
        enter(device, f"sys/block/{device['name'].rpartition('/')[2]}")
    write(root, "proc/self/mountinfo", "\n".join(sorted(mounted)))
    return signatures


@pytest.mark.parametrize("name", names("storage/gpud__lsblk*"))
def test_no_rule_takes_a_disk_on_which_lsblk_shows_anything(name, recorded, tmp_path):
    devices = json.loads((recorded / name).read_text())["blockdevices"]
    signatures = write_tree(devices, tmp_path)
    state = state_of(tmp_path, signatures)
    bare = {
        device["name"].rpartition("/")[2]
        for device in devices
        if device["type"] == "disk"
        and not device.get("children")
        and not device.get("fstype")
        and not places_of(device)
    }
    found = taken(state)
    assert found <= bare
    # What is bare and large enough is what the rules are for.
    assert found == {disk for disk in bare if disk in state.blocks and state.blocks[disk].size_bytes >= 10**6}
    system = selection.system_disks(state)
    for device in devices:
        below = rows([device])
        if any("/" in places_of(entry) for entry in below) and device["type"] == "disk":
            assert "/" in system[device["name"].rpartition("/")[2]]


def test_the_system_is_found_in_some_of_them(recorded, tmp_path):
    found = 0
    for name in names("storage/gpud__lsblk*"):
        devices = json.loads((recorded / name).read_text())["blockdevices"]
        found += any("/" in places_of(entry) for entry in rows(devices))
    assert found >= 3
