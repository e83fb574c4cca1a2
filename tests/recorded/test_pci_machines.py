"""PCI machines recorded as text or XML, turned into the kernel's tree: counts of GPUs, switches, cards and disks."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table, pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .bus import Function, identity, link, write_functions
from .lspci import make_tree, make_tree_of_ids
from .place import names

USES = (
    "pci/gpud__lspci*",
    "pci/pciids__*",
    "pci/nfd__rootfs-1/**/*",
    "hwloc/xml__*.xml",
    "topology/*",
)
# PCI classes of functions.
NETWORK, INFINIBAND, NVME = 0x0200, 0x0207, 0x0108


def kinds(root) -> Counter:
    return Counter(code >> 8 for code in pci.classes(Tree(str(root))).values())


def test_the_nics_and_disks_of_an_eight_h100_server(recorded, tmp_path):
    make_tree((recorded / "pci/gpud__lspci-vvv-8xH100-SXM").read_text(errors="replace"), tmp_path)
    found = kinds(tmp_path)
    # Eight ConnectX-7 and four ConnectX-6 Dx; the other two are the board's own.
    assert found[NETWORK] + found[INFINIBAND] == 12 + 2
    tree = Tree(str(tmp_path))
    mellanox = [address for address in pci.classes(tree) if (pci.pci_id(tree, address) or "").startswith("15b3")]
    assert len(mellanox) == 12
    assert found[NVME] == 8
    assert {card["driver"] for card in gather(str(tmp_path))["accelerators"]} == {"nvidia"}


def test_eight_a100_with_a_domain_each(recorded, tmp_path):
    make_tree_of_ids((recorded / "pci/gpud__lspci.nn.a100").read_text(), tmp_path)
    facts = gather(str(tmp_path))
    assert [card["pci_id"] for card in facts["accelerators"]] == ["10de:20b2"] * 8
    assert facts["accelerators"][-1]["pci_address"] == "000e:00:00.0"
    assert {card["memory_class_gb"] for card in facts["accelerators"]} == {80}
    assert facts["fabric"]["nvswitches"] == 6
    assert kinds(tmp_path)[INFINIBAND] == 8


def test_a_guest_with_an_a10_and_a_virtual_console(recorded, tmp_path):
    make_tree_of_ids((recorded / "pci/gpud__lspci.nn.a10").read_text(), tmp_path)
    facts = gather(str(tmp_path))
    (card,) = facts["accelerators"]
    assert (card["pci_id"], card["memory_class_gb"]) == ("10de:2236", 24)
    assert facts["fabric"]["nvswitches"] == 0


def test_nfds_root_has_no_accelerator(recorded):
    root = recorded / "pci/nfd__rootfs-1"
    addresses = [place.name for place in (root / "sys/bus/pci/devices").iterdir()]
    assert sorted(pci.classes(Tree(str(root)))) == sorted(addresses)
    facts = gather(str(root))
    assert facts["accelerators"] == []
    assert not any(entry["fact"] == "accelerators" for entry in facts["unreadable"])


def write_hwloc(document: ElementTree.ElementTree, root) -> None:
    """The PCI functions and, where there are packages, the CPUs of an hwloc topology."""
    functions: list[Function] = []

    def visit(element: ElementTree.Element, above: str) -> None:
        words = element.get("pci_type", "").replace("[", "").replace("]", "").split()
        address = element.get("pci_busid", "")
        if words and address:
            kind, ids = int(words[0], 16), words[1].split(":")
            functions.append(Function(address, above, identity(kind << 8, int(ids[0], 16), int(ids[1], 16))))
            above = address
        for child in element.findall("object"):
            visit(child, above)

    for element in document.getroot().findall("object"):
        visit(element, "")
    write_functions(functions, root)
    cpus = []
    for package, element in enumerate(
        item for item in document.iter("object") if item.get("type") in ("Package", "Socket")
    ):
        for core in (item for item in element.iter("object") if item.get("type") == "Core"):
            mine = [int(item.get("os_index", "")) for item in core.iter("object") if item.get("type") == "PU"]
            cpus += mine
            for cpu in mine:
                place = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
                place.mkdir(parents=True)
                (place / "physical_package_id").write_text(str(package))
                (place / "core_cpus_list").write_text(",".join(map(str, mine)))
    if cpus:
        (root / "sys/devices/system/cpu/online").write_text(",".join(map(str, sorted(cpus))))


HWLOC = {
    # file: sockets, cores, threads, ids of accelerators, network functions (InfiniBand too)
    "xml__16intel64-manyVFs": (2, 16, 16, [], 18),
    "xml__192em64t-24n8c2t": (24, 192, 384, [], 6),
    "xml__32em64t-2n8c2t-pci-wholeio": (2, 16, 32, ["10de:1094"] * 3 + ["1002:6798"], 3),
    "xml__64intel64-heteromem": (1, 16, 64, [], 0),
    "xml__power8gpudistances": (2, 8, 16, ["10de:15f9"] * 4, 0),
}


@pytest.mark.parametrize("name", names("hwloc/xml__*.xml"))
def test_hwloc_topologies(name, recorded, tmp_path):
    document = ElementTree.parse(recorded / name)  # noqa: S314
    write_hwloc(document, tmp_path)
    sockets, cores, threads, ids, network = HWLOC[name.partition("/")[2].removesuffix(".xml")]
    facts = gather(str(tmp_path))
    cpu = facts["cpu"]
    assert (cpu["sockets"], cpu["cores"], cpu["threads"]) == (sockets, cores, threads)
    assert sorted(card["pci_id"] for card in facts["accelerators"]) == sorted(ids)
    found = kinds(tmp_path)
    assert found[NETWORK] + found[INFINIBAND] == network


@pytest.mark.parametrize("name", names("topology/*"))
def test_gpus_and_paths_of_rccls_topologies(name, recorded, tmp_path):
    functions: list[Function] = []

    def visit(element: ElementTree.Element, above: str) -> None:
        address = element.get("busid", "") if element.tag == "pci" else ""
        if address:
            speed = element.get("link_speed", "").split(" ")[0]
            files = {
                **identity(int(element.get("class", "0"), 16), 0x1002, 0x738C if element.find("gpu") is not None else 1)
            }
            for prefix in ("max", "current"):
                files.update(link(prefix, speed, element.get("link_width", "")))
            functions.append(Function(address, above, files))
        for child in element:
            visit(child, address or above)

    document = ElementTree.parse(recorded / name)  # noqa: S314
    visit(document.getroot(), "")
    write_functions(functions, tmp_path)
    cards = gather(str(tmp_path))["accelerators"]
    assert len(cards) == len({item.get("busid") for item in document.iter("pci") if item.find("gpu") is not None}) > 0
    for card in cards:
        assert card["memory_class_gb"] == 32
        assert 1 <= card["link"]["path_generation"] <= card["link"]["max_generation"]
        assert 1 <= card["link"]["path_width"] <= card["link"]["max_width"]


def test_the_table_agrees_with_the_pci_id_database(recorded):
    data = (recorded / "pci/pciids__pci.ids-2026.08.22").read_bytes()
    database = pci.parse_names(data, set(accelerator_table.MODELS))
    assert sorted(database) == sorted(accelerator_table.MODELS)
    named = {identity: set(map(int, re.findall(r"(\d+) ?GB", name))) for identity, name in database.items()}
    wrong = {
        identity: (model, database[identity])
        for identity, model in accelerator_table.MODELS.items()
        if named[identity] and model.memory_class_gb and model.memory_class_gb not in named[identity]
    }
    assert wrong == {}
