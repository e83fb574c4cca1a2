"""Small copies of /sys and /proc that other projects took: guests, offline CPUs, SR-IOV, software RAID, RDMA."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .place import names
from .ttar import unpack

USES = ("ghw-snapshots/*", "pci/procfs__fixtures.ttar")
SNAPSHOTS = {
    # name: sockets, cores, threads, present, hybrid, ids of accelerators, disks with their kind
    "amd64-415ee03b": (1, 12, 16, None, True, [], {"nvme0n1": "nvme"}),
    "amd64-61797caf": (1, 6, 12, None, False, ["1002:6758"], {"sda": "ssd", "sdb": "hdd", "sdc": "ssd"}),
    "amd64-8581cf3a": (2, 12, 24, None, False, [], {"sda": "hdd"}),
    "amd64-accel": (2, 2, 2, None, False, ["1b36:0005"], {"vda": "virtual"}),
    "amd64-offlineCPUs": (2, 2, 2, 4, False, [], {}),
    "arm64-c288": (1, 1, 1, None, False, [], {"nvme0n1": "nvme"}),
}


@pytest.fixture(scope="module", params=names("ghw-snapshots/*"))
def snapshot(request, recorded, tmp_path_factory):
    """What is expected of a snapshot, and its facts."""
    root = tmp_path_factory.mktemp("snapshot")
    subprocess.run(["tar", "-xzf", recorded / request.param, "-C", root, "-m", "--no-same-owner"], check=True)
    expected = next(value for name, value in SNAPSHOTS.items() if f"-{name}" in request.param)
    return expected, gather(str(root))


def test_processors(snapshot):
    expected, facts = snapshot
    cpu = facts["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"], cpu["present"], cpu["hybrid"]) == expected[:5]


def test_accelerators(snapshot):
    expected, facts = snapshot
    assert [card["pci_id"] for card in facts["accelerators"]] == expected[5]


def test_disks_are_seen_and_in_use(snapshot):
    expected, facts = snapshot
    assert {disk["name"]: disk["kind"] for disk in facts["disks"]} == expected[6]
    # Each holds partitions, so none may be called free.
    assert all(disk["in_use"] for disk in facts["disks"])


def test_memory_is_at_most_what_is_installed(snapshot):
    _expected, facts = snapshot
    total, installed = facts["memory"]["total_bytes"], facts["memory"]["installed_bytes"]
    assert total > 10**9
    assert installed is None or 0.9 * installed < total <= installed


@pytest.fixture(scope="module")
def fixtures(recorded, tmp_path_factory):
    root = tmp_path_factory.mktemp("fixtures")
    assert unpack((recorded / "pci/procfs__fixtures.ttar").read_text(), root) > 2000
    return root / "fixtures"


def test_degraded_arrays_are_those_of_mdstat(fixtures):
    raid = gather(str(fixtures))["raid"]
    assert [array["name"] for array in raid["arrays"] if array["degraded"]] == ["md5", "md6"]
    assert raid["degraded_arrays"] == 2
    levels = {array["name"]: array["level"] for array in raid["arrays"]}
    assert (levels["md0"], levels["md5"], levels["md7"]) == ("raid0", "raid5", "container")
    # [2/1] in mdstat: one of two members is there.
    assert "[2/1]" in (fixtures / "proc/mdstat").read_text()


def test_rdma_of_three_makers(fixtures):
    ports = gather(str(fixtures))["fabric"]["infiniband"]
    rates = {(port["device"], port["port"]): port["rate_gbps"] for port in ports}
    assert rates == {("hfi1_0", 1): 100.0, ("mlx4_0", 1): 40.0, ("mlx4_0", 2): 40.0, ("mlx5_0", 1): 25.0}


def test_a_card_its_network_and_its_disk(fixtures):
    facts = gather(str(fixtures))
    (card,) = facts["network"]
    assert (card["pci_address"], card["speed_mbps"], card["carrier"]) == ("0000:00:1f.6", 1000, True)
    assert [disk["name"] for disk in facts["disks"]] == ["sda"]
    # This record has no database of udev: nothing may be called free.
    assert facts["disks"][0]["in_use"] is None
    # Its two nodes: a card that does not say stays unknown.
    assert card["numa_node"] is None


def test_the_processes_own_view_is_found_through_a_link(fixtures):
    # /proc/self is a link to a process whose mounts and CPUs are recorded.
    facts = gather(str(fixtures))
    assert facts["limits"]["cpuset"] == list(range(8))
    assert "/mnt/nfs/test" in [entry["mount"] for entry in facts["filesystems"]]
