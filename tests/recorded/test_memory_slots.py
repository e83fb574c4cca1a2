"""Memory slots of real servers: dmidecode, lshw and a fleet's inventory, read as the firmware's own table."""

from __future__ import annotations

import ast
import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .dmidecode import device, structure, table
from .place import names
from .processors import write_cpus

USES = ("dmi-lshw/*", "fleet/*")
GB = 2**30
SERVERS = {
    # model: slots, modules, size of each
    "AS_-1014S-WTRT": (8, 6, 64 * GB),
    "AS_-4124GS-TNR__54803F617EBD": (32, 16, 32 * GB),
    "AS_-4124GS-TNR__7104941B4991": (32, 16, 64 * GB),
    "ESC4000A-E10": (8, 8, 64 * GB),
    "ESC8000_G4-10G": (24, 4, 64 * GB),
    "G482-Z54-00": (32, 16, 16 * GB),
    "H11SSL-NC": (8, 3, 64 * GB),
    "PowerEdge_R750_": (32, 8, 64 * GB),
    "PowerEdge_R7525__23F136DC785E": (32, 8, 16 * GB),
    "PowerEdge_R7525__3F409CE3A366": (32, 8, 64 * GB),
    "PowerEdge_R7625": (24, 8, 64 * GB),
    "ProLiant_DL380_Gen11": (32, 8, 32 * GB),
    "SYS-4028GR-TR2": (24, 8, 64 * GB),
    "SYS-4029GP-TRT2": (24, 4, 8 * GB),
    "SYS-4029GP-TRT_": (24, 4, 32 * GB),
    "ThinkSystem_SR650_V2": (32, 12, 32 * GB),
}


def memory_of(data: bytes, root) -> dict:
    """The `memory` facts of a machine that has nothing but this table."""
    place = root / "sys/firmware/dmi/tables"
    place.mkdir(parents=True)
    (place / "DMI").write_bytes(data)
    return gather(str(root))["memory"]


@pytest.mark.parametrize("name", names("dmi-lshw/linuxhw__*"))
def test_dmidecode_of_servers(name, recorded, tmp_path):
    model = next(model for model in SERVERS if name.startswith(f"dmi-lshw/linuxhw__{model}"))
    slots, populated, size = SERVERS[model]
    memory = memory_of(table((recorded / name).read_text(errors="replace")), tmp_path)
    assert (memory["dimm_slots"], memory["dimms_populated"]) == (slots, populated)
    assert memory["dimm_sizes_bytes"] == [size] * populated
    assert memory["installed_bytes"] == size * populated
    assert memory["ecc"] is True


def test_a_dump_without_memory_says_nothing_of_it(recorded, tmp_path):
    memory = memory_of(table((recorded / "dmi-lshw/gpud__dmidecode").read_text()), tmp_path)
    assert memory["dimm_slots"] is None
    assert memory["ecc"] is None


def as_table(sizes: list[int]) -> bytes:
    array = structure(16, 1, bytes([3, 3, 6]) + b"\0" * 8)
    return array + b"".join(structure(17, 2, device(1, f"{size >> 20} MB")) for size in sizes)


@pytest.mark.parametrize("name", names("dmi-lshw/rhcip__*"))
def test_lshw_agrees(name, recorded, tmp_path):
    document = ElementTree.parse(recorded / name)  # noqa: S314
    banks = [node for node in document.iter("node") if node.get("id", "").startswith("bank")]
    sizes = [int(node.findtext("size", "0")) for node in banks]
    memory = memory_of(as_table(sizes), tmp_path)
    total = [
        int(node.findtext("size", "0"))
        for node in document.iter("node")
        if re.fullmatch(r"memory(:0)?", node.get("id", ""))
    ]
    assert memory["dimm_slots"] == len(banks)
    assert memory["dimms_populated"] == sum(size > 0 for size in sizes) > 0
    assert memory["installed_bytes"] == total[0]


@pytest.fixture(scope="module")
def fleet(recorded, tmp_path_factory):
    """The facts of 19 blades of one model: memory, and the CPU of the processors that their inventory lists."""
    found = []
    for name in names("fleet/*"):
        rows = ast.literal_eval((recorded / name).read_text())
        banks = Counter(row[1] for row in rows if row[0] == "memory" and row[1].startswith("bank:"))
        sizes = {row[1]: int(row[3]) for row in rows if row[0] == "memory" and row[2] == "size"}
        said = {row[:3]: row[3] for row in rows}
        root = tmp_path_factory.mktemp("blade")
        packages = int(said["cpu", "physical", "number"])
        cores = [int(said["cpu", f"physical_{number}", "enabled_cores"]) for number in range(packages)]
        threads = [int(said["cpu", f"physical_{number}", "threads"]) for number in range(packages)]
        write_cpus(root, [(count, per // count) for count, per in zip(cores, threads)])
        memory = memory_of(as_table([sizes.get(bank, 0) for bank in sorted(banks)]), root)
        found.append(({**gather(str(root)), "memory": memory}, said))
    return found


def test_blades_of_one_model(fleet):
    for facts, said in fleet:
        assert facts["memory"]["dimm_slots"] == said["memory", "banks", "count"] == 16
        assert facts["cpu"]["threads"] == int(said["cpu", "logical", "number"]) == 32
        assert (facts["cpu"]["sockets"], facts["cpu"]["cores"], facts["cpu"]["threads_per_core"]) == (2, 16, 2)
    # The same model was ordered with two and with eight modules.
    assert Counter(facts["memory"]["dimms_populated"] for facts, _said in fleet) == {2: 4, 8: 15}
    assert {tuple(set(facts["memory"]["dimm_sizes_bytes"])) for facts, _said in fleet} == {(16 * GB,)}
