"""The facts of real machines, against what lscpu and hwloc say of the same files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerators, pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .lspci import make_tree
from .place import names

USES = (
    *("hwloc/*.tar.bz2", "hwloc/[!x]*.xml", "hwloc/x86*.xml", "hwloc/*.console"),
    *("kfd-sysfs/**/nodes/**/*", "infiniband/**/*"),
)
KIB = 1024
MACHINES = {
    # archive: sockets, cores, threads, threads per core, NUMA nodes with CPUs or host memory
    "128arm-2pa2n8cluster4co": (2, 128, 128, 1, 4),
    "20em64t-hybrid-1p6c2t+2ca4co1t": (1, 14, 20, 2, 1),
    "256ia64-64n2s2c": (128, 256, 256, 1, 64),
    # Its kernel gives no package ids.
    "256ppc-8n8s4t": (None, 64, 256, 4, 8),
    "2i386-2t-hugepagesizecount": (1, 1, 2, 2, 0),
    "2pa-pcidomain32bits": (2, 2, 2, 1, 1),
    "32amd64-4s2n4c-cgroup2": (4, 32, 32, 1, 8),
    "32em64t-2n8c+dax+nvme+mic+dimms": (2, 16, 16, 1, 2),
    "40intel64-2g2n4c+pcilocality": (4, 40, 40, 1, 4),
    "40intel64-4n10c+pci-conflicts": (4, 40, 40, 1, 4),
    "48amd64-4pa2n6c-sparse": (4, 48, 48, 1, 8),
    "64amd64-4s2n4ca2co": (4, 32, 64, 2, 8),
    "96em64t-4no4pa3ca2co": (16, 96, 96, 1, 4),
    "fakecpuid1f-64intel64-2p4d2n2c2t": (4, 32, 64, 2, 16),
    "memorysidecaches": (2, 40, 80, 2, 4),
    "nvidia-dgx-gb10": (1, 20, 20, 1, 1),
    "nvidiagpunumanodes": (2, 8, 32, 4, 2),
    "offline-cpu0-node0": (2, 17, 17, 1, 1),
    "x86+linux__64amd64-4p2n4ca2co": (4, 32, 64, 2, 8),
}
# Where lscpu 2.38 counts wrongly: cores of the GB10 by clusters, sockets of CPUs that clash with each other, and cores
# of a machine with offline CPUs.
LSCPU_WRONG = {"nvidia-dgx-gb10", "40intel64-4n10c+pci-conflicts", "offline-cpu0-node0"}


@pytest.mark.parametrize("name", MACHINES)
def test_cpu_and_numa_counts(name, facts_of):
    facts = facts_of(name)
    cpu = facts["cpu"]
    host = [node for node in facts["numa"] if node["kind"] == "host"]
    found = (cpu["sockets"], cpu["cores"], cpu["threads"], cpu["threads_per_core"], len(host))
    assert found == MACHINES[name]


@pytest.mark.parametrize("name", sorted(set(MACHINES) - LSCPU_WRONG))
def test_lscpu_agrees(name, unpacked, facts_of):
    if not shutil.which("lscpu"):
        pytest.skip("lscpu is not installed")
    run = subprocess.run(
        ["lscpu", "--sysroot", str(unpacked(name))], capture_output=True, text=True, timeout=30, check=False
    )
    said = dict(re.findall(r"^(Socket|Core|Thread)\(s\)(?: per \w+)?:\s+(\d+)$", run.stdout, re.M))
    if not said:
        pytest.skip("this lscpu cannot read so old a record")
    cpu = facts_of(name)["cpu"]
    if cpu["sockets"] is not None:
        assert cpu["sockets"] == int(said["Socket"])
        # lscpu says the largest number of threads and cores of one socket.
        assert cpu["cores"] == int(said["Socket"]) * int(said["Core"])
    assert cpu["threads_per_core"] == int(said["Thread"])


def hwloc_total_kib(recorded: Path, name: str) -> int | None:
    """The machine's memory as hwloc adds it up from its nodes: exact in XML, rounded to GiB in text (then None)."""
    file = recorded / "hwloc" / f"{name}.xml"
    if not file.exists():
        return None
    return sum(int(size) for size in re.findall(r'local_memory="(\d+)"', file.read_text())) // KIB


@pytest.mark.parametrize("name", MACHINES)
def test_memory(name, unpacked, facts_of, recorded):
    total = facts_of(name)["memory"]["total_bytes"]
    root = unpacked(name)
    said = int(re.search(r"MemTotal:\s+(\d+)", (root / "proc/meminfo").read_text()).group(1)) * KIB
    console = recorded / "hwloc" / f"{name}.console"
    match = re.match(r"Machine .*?total=(\d+)(MiB|GiB)", console.read_text()) if console.exists() else None
    if match and name != "offline-cpu0-node0":  # hwloc counts the online node only
        unit = {"MiB": 2**20, "GiB": 2**30}[match.group(2)]
        # Nodes and meminfo may differ a little; the text is rounded.
        assert total == pytest.approx(int(match.group(1)) * unit, rel=0.04)
    if name != "nvidiagpunumanodes":
        assert total == said


HYBRID = {"20em64t-hybrid-1p6c2t+2ca4co1t", "nvidia-dgx-gb10"}


@pytest.mark.parametrize("name", MACHINES)
def test_kinds_of_cores(name, facts_of):
    cpu = facts_of(name)["cpu"]
    assert cpu["hybrid"] is (name in HYBRID)
    if cpu["threads_per_core"] is not None:
        assert cpu["smt_active"] is (cpu["threads_per_core"] > 1)


def topology(recorded: Path, name: str) -> ElementTree.Element:
    return ElementTree.parse(recorded / "hwloc" / f"{name}.xml").getroot()  # noqa: S314


WITH_XML = sorted(name for name in MACHINES if f"hwloc/{name}.xml" in names("hwloc/*.xml"))


@pytest.mark.parametrize("name", WITH_XML)
def test_memory_of_each_node(name, facts_of, recorded):
    said = {}
    for element in topology(recorded, name).iter("object"):
        size = element.get("local_memory")
        if size and element.get("type") in ("NUMANode", "Machine"):
            said[int(element.get("os_index", "0"))] = int(size)
    found = {node["id"]: node["memory_bytes"] for node in facts_of(name)["numa"] if node["memory_bytes"]}
    # hwloc leaves out the nodes that the recorded control group forbids.
    assert {number: found.get(number) for number in said} == said or (not found and len(said) == 1)


@pytest.mark.parametrize("name", [name for name in WITH_XML if "+" in name and name.startswith(("32", "40"))])
def test_pci_functions(name, unpacked, recorded):
    found = pci.classes(Tree(str(unpacked(name))))
    said = {
        element.get("pci_busid", ""): int(element.get("pci_type", "0").split(" ")[0], 16)
        for element in topology(recorded, name).iter("object")
        if element.get("pci_busid")
    }
    assert len(said) > 20
    assert {address: found[address] >> 8 for address in said} == said


def test_a_domain_of_32_bits(unpacked, recorded):
    found = pci.classes(Tree(str(unpacked("2pa-pcidomain32bits"))))
    said = set(
        re.findall(r"busid=([0-9a-f]+:[0-9a-f:.]+)", (recorded / "hwloc/2pa-pcidomain32bits.console").read_text())
    )
    assert said
    assert said <= set(found)
    assert any(len(address) > len("0000:00:00.0") for address in said)


def test_reserved_huge_pages(facts_of, recorded):
    found = facts_of("2i386-2t-hugepagesizecount")["memory"]["hugepages"]
    infos = {
        item.get("name"): item.get("value") for item in topology(recorded, "2i386-2t-hugepagesizecount").iter("info")
    }
    # The first one is the plain page.
    assert [entry["page_bytes"] for entry in found] == [int(size) for size in (infos["PageSizes"] or "").split(",")[1:]]
    assert [entry["pages"] for entry in found] == [1, 1]


def test_gb10_memory_equals_hwlocs(facts_of, recorded):
    total = facts_of("nvidia-dgx-gb10")["memory"]["total_bytes"]
    assert total // KIB == hwloc_total_kib(recorded, "nvidia-dgx-gb10")


def test_power9_host_memory_is_without_that_of_its_gpus(facts_of):
    facts = facts_of("nvidiagpunumanodes")
    assert facts["memory"]["total_bytes"] == 263791104 * KIB
    gpu = [node for node in facts["numa"] if node["kind"] == "gpu"]
    assert len(gpu) == 6
    assert sum(node["memory_bytes"] for node in gpu) == 6 * 15728640 * KIB


def test_gb10_uses_the_hosts_memory(unpacked, tmp_path):
    root = tmp_path / "gb10"
    shutil.copytree(unpacked("nvidia-dgx-gb10"), root, symlinks=True, ignore_dangling_symlinks=True)
    place = root / "sys/bus/pci/devices/000f:01:00.0"
    place.mkdir(parents=True)
    for file, text in {"class": "0x030000", "vendor": "0x10de", "device": "0x2e12"}.items():
        (place / file).write_text(text)
    xml = (
        b"<nvidia_smi_log><attached_gpus>1</attached_gpus><gpu id='0000000F:01:00.0'><product_name>NVIDIA GB10"
        b"</product_name><fb_memory_usage><total>Not Supported</total></fb_memory_usage></gpu></nvidia_smi_log>"
    )
    (card,) = gather(str(root), xml)["accelerators"]
    assert card["unified_memory"] is True
    assert card["memory_bytes"] is None
    assert card["name"] == "NVIDIA GB10"


def test_a_xeon_phi_is_an_accelerator_and_its_board_has_nics_disks_and_infiniband(facts_of):
    facts = facts_of("32em64t-2n8c+dax+nvme+mic+dimms")
    assert [card["pci_id"] for card in facts["accelerators"]] == ["8086:225c"]
    assert len(facts["fabric"]["infiniband"]) == 1
    assert facts["network"]
    assert all(disk["size_bytes"] for disk in facts["disks"])


@pytest.fixture(scope="module")
def h100(recorded, tmp_path_factory):
    root = tmp_path_factory.mktemp("h100")
    functions = make_tree((recorded / "pci/gpud__lspci-vvv-8xH100-SXM").read_text(errors="replace"), root)
    assert functions > 500
    return root


def test_eight_h100_server_without_a_driver(h100):
    facts = gather(str(h100))
    cards = facts["accelerators"]
    assert [card["pci_id"] for card in cards] == ["10de:2330"] * 8
    assert Counter(card["numa_node"] for card in cards) == {0: 4, 1: 4}
    assert {card["memory_class_gb"] for card in cards} == {80}
    assert {card["memory_source"] for card in cards} == {"pci_id"}
    link = {"generation": 5, "max_generation": 5, "width": 16, "max_width": 16, "path_generation": 5, "path_width": 16}
    assert all(card["link"] == link for card in cards)
    assert facts["fabric"]["nvswitches"] == 4
    assert [disk["kind"] for disk in facts["disks"]] == ["nvme"] * 8


def test_h100_memory_window_brackets_its_memory(h100):
    address = gather(str(h100))["accelerators"][0]["pci_address"]
    text = (h100 / "sys/bus/pci/devices" / address / "resource").read_text()
    record = accelerators.empty(address, "10de:ffff")
    accelerators.settle_memory(record, None, pci.largest_region(text))
    assert record["memory_bytes"] is None
    assert record["memory_source"] == "bar"
    assert record["memory_bracket_bytes"]["more_than"] < 81559 * 2**20 <= record["memory_bracket_bytes"]["at_most"]


SIZES_MIB = {
    "nvidia-aicr__h100-sxm-x8-driver-570": (8, 81559, 80),
    "telegraf__a100-sxm4-v12": (1, 81920, 80),
    "telegraf__a10g": (1, 23028, 24),
    "telegraf__tesla-t4": (1, 15360, 16),
    "datakit__v100-pcie-x1": (1, 32510, 32),
    "telegraf__rtx-3090-v12": (1, 24576, 24),
}


@pytest.mark.parametrize("name", SIZES_MIB)
def test_memory_and_class_by_driver(name, recorded):
    count, mib, size = SIZES_MIB[name]
    cards = gather("/nonexistent", (recorded / f"nvidia-smi-xml/{name}.xml").read_bytes())["accelerators"]
    assert len(cards) == count
    assert {(card["memory_bytes"], card["memory_class_gb"], card["memory_source"]) for card in cards} == {
        (mib * 2**20, size, "driver")
    }


def test_every_nvidia_file_gives_its_cards(recorded):
    files = sorted((recorded / "nvidia-smi-xml").glob("*.xml"))
    assert files
    for file in files:
        cards = gather("/nonexistent", file.read_bytes())["accelerators"]
        assert cards, file.name
        assert all(card["memory_bytes"] and card["vendor"] == "nvidia" for card in cards), file.name


def test_four_slices_are_one_card(recorded):
    (card,) = gather("/nonexistent", (recorded / "nvidia-smi-xml/telegraf__a100-sxm4-v12.xml").read_bytes())[
        "accelerators"
    ]
    assert card["mig"]["enabled"] is True
    assert [slice_["memory_bytes"] for slice_ in card["mig"]["instances"]] == [19968 * 2**20] * 4


def test_every_rocm_file_gives_its_cards(recorded):
    files = sorted((recorded / "rocm").glob("*.json"))
    assert files
    for file in files:
        cards = gather("/nonexistent", None, file.read_bytes())["accelerators"]
        assert cards, file.name
        assert all(card["memory_bytes"] and card["pci_id"].startswith("1002:") for card in cards), file.name


@pytest.mark.parametrize(
    ("name", "identity", "linked"), [("topo-mi210-xgmi-pcie", "1002:740f", 8), ("topology-parsing", "1002:6860", 0)]
)
def test_kfd_trees(name, identity, linked, recorded, tmp_path):
    source = next((recorded / f"kfd-sysfs/rocmdp__{name}").glob("**/nodes"))
    target = tmp_path / "sys/class/kfd/kfd/topology"
    target.mkdir(parents=True)
    (target / "nodes").symlink_to("../../../../../nodes")
    shutil.copytree(source, tmp_path / "nodes")
    facts = gather(str(tmp_path))
    assert {card["pci_id"] for card in facts["accelerators"]} == {identity}
    assert len(facts["fabric"]["xgmi"]) == linked


def test_infiniband_of_an_h100_node(recorded, tmp_path):
    shutil.copytree(recorded / "infiniband/gpud__sys-class-infiniband-h100.0", tmp_path / "sys/class/infiniband")
    ports = gather(str(tmp_path))["fabric"]["infiniband"]
    rates = Counter((port["link_layer"], port["rate_gbps"]) for port in ports)
    assert rates == {("InfiniBand", 400.0): 8, ("Ethernet", 200.0): 1}
    assert {port["state"] for port in ports} == {"active"}
