"""What lscpu printed on real machines, turned back into files: the facts are its numbers again."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .place import names
from .processors import write, write_cpus

USES = ("cpuinfo-lscpu/*",)
# Words of the flags that must be found, and that must not.
FLAGS = {
    "rhcip__lscpu-7302": ({"avx2", "fma"}, {"sme", "avx512f"}),
    "rhcip__lscpu_aarch64": ({"asimd"}, {"sve"}),
}


@pytest.fixture(params=names("cpuinfo-lscpu/*"))
def dump(request, recorded, tmp_path):
    """What lscpu says (by name) and the facts of the machine built from it."""
    said = dict(re.findall(r"^([^:]+):[ \t]*(.*)$", (recorded / request.param).read_text(), re.M))
    sockets = int(said["Socket(s)"])
    write_cpus(tmp_path, [(int(said["Core(s) per socket"]), int(said["Thread(s) per core"]))] * sockets)
    for name, text in said.items():
        node = re.fullmatch(r"NUMA node(\d+) CPU\(s\)", name)
        if node and "On-line CPU(s) mask" in said:
            write(tmp_path, f"sys/devices/system/node/node{node.group(1)}/cpumap", text.replace("0x", "") or "0")
        elif node:
            write(tmp_path, f"sys/devices/system/node/node{node.group(1)}/cpulist", text)
    field = "Features" if "aarch64" in said["Architecture"] else "flags"
    write(tmp_path, "proc/cpuinfo", f"vendor_id : {said.get('Vendor ID', '')}\n{field} : {said.get('Flags', '')}")
    return request.param.rpartition("/")[2], said, gather(str(tmp_path))


def online(said: dict[str, str]) -> int:
    """The number of CPUs in lscpu's list or mask; its own count was changed by hand in one file."""
    if "On-line CPU(s) mask" in said:
        return bin(int(said["On-line CPU(s) mask"], 16)).count("1")
    ranges = [part.split("-") for part in said["On-line CPU(s) list"].split(",")]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)


def test_counts(dump):
    _name, said, facts = dump
    cpu = facts["cpu"]
    assert cpu["threads"] == online(said)
    assert cpu["sockets"] == int(said["Socket(s)"])
    assert cpu["cores"] == int(said["Socket(s)"]) * int(said["Core(s) per socket"])
    assert cpu["threads_per_core"] == int(said["Thread(s) per core"])
    assert cpu["smt_active"] is (cpu["threads_per_core"] > 1)
    assert cpu["hybrid"] is False


def test_nodes(dump):
    _name, said, facts = dump
    if "NUMA node(s)" in said:
        assert len(facts["numa"]) == int(said["NUMA node(s)"])
        assert sum(len(node["cpus"]) for node in facts["numa"]) == online(said)


def test_instruction_sets(dump):
    name, _said, facts = dump
    wanted, unwanted = FLAGS.get(name, (set(), set()))
    flags = set(facts["cpu"]["ml_flags"] or [])
    assert wanted <= flags
    assert not unwanted & flags
