"""Cards, paths and processors that are not like the usual: partitions, virtual functions, slots, kinds of cores."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import cpu, disks, kfd, pci, raid, system
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

from .trees import cpu_files, pci_files, write

GIB = 2**30
PARTITION = "simd_count 152\nlocation_id {location}\ndomain 0\nvendor_id 4098\ndevice_id 29857"


def test_a_card_in_partitions_is_one_card_with_all_its_memory(tmp_path):
    files = pci_files("0000:1b:00.0", "0x120000", "1002", "74a1")
    for number in range(8):
        node = f"/sys/class/kfd/kfd/topology/nodes/{number + 1}"
        # The kernel puts the partition's number into the highest bits of the location.
        files[f"{node}/properties"] = PARTITION.format(location=number << 28 | 0x1B00)
        files[f"{node}/mem_banks/0/properties"] = f"heap_type 1\nsize_in_bytes {24 * GIB}"
    (card,) = gather(str(write(tmp_path, files)))["accelerators"]
    assert card["memory_bytes"] == 192 * GIB
    assert card["memory_class_gb"] == 192


def test_one_partition_that_hides_its_memory_hides_the_cards():
    nodes = [{"pci_address": "a", "pci_id": "1002:74a1", "memory_bytes": size} for size in (1, None, 2)]
    assert kfd.cards(nodes)[0]["memory_bytes"] is None


def test_virtual_functions_are_counted_with_their_card(tmp_path):
    files = pci_files("0000:01:00.0", "0x030200", "10de", "2230")
    for number in range(1, 4):
        files.update(pci_files(f"0000:01:00.{number}", "0x030200", "10de", "2230", physfn="-> ../0000:01:00.0"))
    (card,) = gather(str(write(tmp_path, files)))["accelerators"]
    assert (card["pci_address"], card["virtual_functions"]) == ("0000:01:00.0", 3)


def slot(speed: str, width: str) -> dict[str, str]:
    return {
        **pci_files(
            "0000:00:01.0",
            "0x060400",
            "8086",
            "1",
            place="/sys/devices/pci0000:00/0000:00:01.0",
            max_link_speed=speed,
            max_link_width=width,
        ),
        **pci_files(
            "0000:01:00.0",
            "0x030200",
            "10de",
            "2330",
            place="/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0",
            max_link_speed="32.0 GT/s PCIe",
            max_link_width="16",
        ),
    }


@pytest.mark.parametrize(
    ("speed", "width", "expected"),
    [
        ("16.0 GT/s PCIe", "8", (4, 8)),
        ("64.0 GT/s PCIe", "16", (5, 16)),
        ("Unknown", "0", (None, None)),
        ("", "", (None, None)),
    ],
)
def test_the_path_is_as_good_as_its_worst_part(speed, width, expected, tmp_path):
    limits = pci.path_limits(Tree(str(write(tmp_path, slot(speed, width)))), "0000:01:00.0", {})
    assert (limits["path_generation"], limits["path_width"]) == expected


def test_on_several_nodes_minus_one_stays_unknown(tmp_path):
    files = pci_files("0000:01:00.0", "0x030200", "10de", "2330", numa_node="-1")
    for node in (0, 1):
        files[f"/sys/devices/system/node/node{node}/cpulist"] = str(node)
    (card,) = gather(str(write(tmp_path, files)))["accelerators"]
    assert card["numa_node"] is None


@pytest.mark.parametrize("name", ["class", "vendor"])
def test_a_function_that_cannot_be_read_may_have_been_a_card(name, tmp_path):
    write(tmp_path, pci_files("0000:01:00.0", "0x030200", "10de", "2330"))
    (tmp_path / "sys/bus/pci/devices/0000:01:00.0" / name).unlink()
    facts = gather(str(tmp_path))
    assert facts["accelerators"] == []
    assert [entry["path"] for entry in facts["unreadable"] if entry["fact"] == "accelerators"]


def test_capacities_and_counter_units_tell_kinds_of_cores(tmp_path):
    files = {"/sys/devices/system/cpu/online": "0-1", **cpu_files(0, 0, "0"), **cpu_files(1, 0, "1")}
    place = "/sys/devices/system/cpu/cpu{}/cpu_capacity"
    for number, root in ((718, "arm"), (1024, "same")):
        tree = Tree(str(write(tmp_path / root, {**files, place.format(0): "1024", place.format(1): str(number)})))
        assert cpu.read(tree)["hybrid"] is (number == 718)
    units = {"/sys/devices/cpu_core/type": "4", "/sys/devices/cpu_atom/type": "10"}
    assert cpu.read(Tree(str(write(tmp_path / "intel", {**files, **units}))))["hybrid"] is True


def test_unequal_cores_with_cpus_offline_are_not_judged(tmp_path):
    files = {
        "/sys/devices/system/cpu/online": "0-2",
        "/sys/devices/system/cpu/present": "0-3",
        **cpu_files(0, 0, "0-1"),
        **cpu_files(2, 0, "2"),
    }
    tree = Tree(str(write(tmp_path, files)))
    assert cpu.read(tree)["hybrid"] is None
    assert "cpu.hybrid" in tree.notes


def test_memory_encryption_is_no_matrix_extension():
    flags = cpu.parse_cpuinfo("flags : avx2 sme")
    assert cpu.ml_flags_of(flags) == ["avx2"]
    assert cpu.ml_flags_of(cpu.parse_cpuinfo("Features : sme sve2")) == ["sme", "sve2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=arch\nNAME='Arch Linux'", ("arch", None, "Arch Linux")),
        ('ID="rocky"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4"', ("rocky", "9.4", "Rocky Linux 9.4")),
        ("# nothing", (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_os_release(text, expected):
    assert tuple(system.parse_os_release(text).values()) == expected


def test_the_distributions_own_os_release_is_the_second_choice(tmp_path):
    tree = Tree(str(write(tmp_path, {"/usr/lib/os-release": "ID=debian\nVERSION_ID=13"})))
    assert system.operating_system(tree)["version_id"] == "13"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/sys/class/iommu/dmar0/x": "", "/sys/kernel/iommu_groups/0/type": "DMA-FQ"}, (True, 1, False)),
        ({"/proc/cmdline": "quiet intel_iommu=off"}, (False, 0, False)),
        ({"/proc/cmdline": "quiet"}, (None, None, None)),
        ({"/sys/class/iommu/dmar0/x": ""}, (True, None, None)),
    ],
)
def test_iommu(files, expected, tmp_path):
    assert tuple(system.iommu(Tree(str(write(tmp_path, files)))).values()) == expected


def test_no_groups_are_no_iommu(tmp_path):
    (tmp_path / "sys/kernel/iommu_groups").mkdir(parents=True)
    assert system.iommu(Tree(str(tmp_path)))["enabled"] is False


def test_an_array_that_does_not_tell_leaves_the_count_open(tmp_path):
    tree = Tree(str(write(tmp_path, {"/sys/block/md127/md/level": "raid5", "/sys/block/md0/md/level": "raid0"})))
    found = raid.read(tree)
    assert [array["degraded"] for array in found["arrays"]] == [0, None]
    assert found["degraded_arrays"] is None


def test_the_paths_of_one_nvme_disk_are_no_disks(tmp_path):
    files = {f"/sys/block/{name}/size": "8" for name in ("nvme0n1", "nvme0c0n1", "nvme0c1n1", "md_d0", "md127")}
    tree = Tree(str(write(tmp_path, files)))
    assert [disk["name"] for disk in disks.read(tree, [])] == ["nvme0n1"]
