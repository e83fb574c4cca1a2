"""A file that is gone never makes a machine look better: no requirement that failed or was unknown passes without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import requirements, verdicts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .trees import SERVER, cpu_files, pci_files, write

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sizing"))
from samples import PROFILES, shipped

# Two unequal cards of which one is small and in a narrow slot, few CPUs of which two are off, a slow network.
SMALL: dict[str, str | bytes] = {
    **SERVER,
    "/sys/bus/pci/devices/0000:02:00.0/current_link_width": "16",
    **pci_files("0000:07:00.0", "0x030200", "10de", "1eb8", current_link_width="8", max_link_width="16"),
    "/sys/devices/system/cpu/cpu4/online": "0",
    "/sys/devices/system/cpu/cpu5/online": "0",
    "/sys/class/net/eth0/speed": "100",
}
# A quarter of its memory is that of two GPUs, which the kernel counts as the host's: 8 GiB look like more than 7.
COHERENT: dict[str, str | bytes] = {
    "/proc/cpuinfo": "processor : 0\ncpu : POWER9, altivec supported",
    "/proc/meminfo": f"MemTotal: {40 * 2**20} kB",
    "/sys/devices/system/cpu/online": "0",
    **cpu_files(0, 0, "0"),
    "/sys/devices/system/node/node0/cpulist": "0",
    "/sys/devices/system/node/node0/meminfo": f"Node 0 MemTotal: {3 * 2**20} kB",
    "/sys/devices/system/node/node254/cpulist": "",
    "/sys/devices/system/node/node254/meminfo": f"Node 254 MemTotal: {16 * 2**20} kB",
    "/sys/devices/system/node/node255/cpulist": "",
    "/sys/devices/system/node/node255/meminfo": f"Node 255 MemTotal: {21 * 2**20} kB",
    **pci_files("0004:04:00.0", "0x030200", "10de", "1db1"),
    **pci_files("0004:05:00.0", "0x030200", "10de", "1db1"),
    "/proc/driver/nvidia/gpus/0004:04:00.0/numa_status": "Node:  254",
    "/proc/driver/nvidia/gpus/0004:05:00.0/numa_status": "Node:  255",
}
MACHINES = {"server": SERVER, "small": SMALL, "coherent": COHERENT}
DEMANDS = requirements.of_host(requirements.merge(shipped(), []), PROFILES)
# What the roles do not ask for, and a site may: each aggregate, and more of the facts.
OWN = [
    {"fact": "accelerators[].link.width", "aggregate": "all", "operator": ">=", "value": 16},
    {"fact": "accelerators[].link.path_width", "aggregate": "min", "operator": ">=", "value": 16},
    {"fact": "accelerators[].memory_bytes", "aggregate": "all", "operator": ">=", "value": 24, "unit": "GB class"},
    {"fact": "accelerators[]", "operator": "<=", "value": 1},
    {"fact": "memory.total_bytes", "operator": ">=", "value": 8, "unit": "GiB"},
    {"fact": "raid.degraded_arrays", "operator": "==", "value": 0},
    {"fact": "cpu.threads", "operator": ">=", "value": 5},
    {"fact": "disks[]", "operator": "<=", "value": 1},
]
for number, demand in enumerate(OWN):
    demand.update(id=f"site.{number}", profiles=["base"])
    requirements.check(demand, demand["id"])


def statuses(root: str) -> dict[str, str]:
    facts = gather(root)
    return {demand["id"]: verdicts.judge("h", facts, demand)["status"] for demand in [*DEMANDS, *OWN]}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Each machine's directory; who takes a file away puts it back."""
    return {name: write(tmp_path_factory.mktemp(name), files) for name, files in MACHINES.items()}


@pytest.fixture(scope="module")
def whole(roots):
    """The verdicts of each machine with all its files."""
    return {name: statuses(str(root)) for name, root in roots.items()}


def files_of(name: str) -> list[str]:
    """Its files without links: a link that places a card below its bridge is nothing to read."""
    return sorted(path for path, content in MACHINES[name].items() if not str(content).startswith("-> "))


def without(root: Path, gone: set[str]) -> dict[str, str]:
    """The verdicts without some files; their directories stay, as when the kernel refuses to read a file."""
    places = [root / path.lstrip("/") for path in gone]
    for place in places:
        place.rename(place.with_name(place.name + ".gone"))
    try:
        return statuses(str(root))
    finally:
        for place in places:
            place.with_name(place.name + ".gone").rename(place)


def better(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    return {check: before[check] for check, status in after.items() if status == "pass" and before[check] != "pass"}


def test_the_machines_fail_something(whole):
    for name, found in whole.items():
        assert {"fail", "unknown"} & set(found.values()), name
    assert whole["coherent"]["site.4"] == "fail"
    assert whole["small"]["site.0"] == "fail"


@pytest.mark.parametrize("name", MACHINES)
def test_one_file_less(name, roots, whole):
    for path in files_of(name):
        assert better(whole[name], without(roots[name], {path})) == {}, path


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_files_less(data, roots, whole):
    name = data.draw(st.sampled_from(sorted(MACHINES)))
    gone = data.draw(st.sets(st.sampled_from(files_of(name)), min_size=2, max_size=8))
    assert better(whole[name], without(roots[name], gone)) == {}


def test_of_an_empty_machine_nothing_that_is_shipped_passes(tmp_path):
    found = statuses(str(tmp_path))
    assert "pass" not in {found[demand["id"]] for demand in DEMANDS}
