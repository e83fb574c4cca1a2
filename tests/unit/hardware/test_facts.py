"""The facts of a small made-up machine, key by key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import nvidia_smi
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .trees import SERVER, write

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return gather(str(write(tmp_path_factory.mktemp("server"), SERVER)))


def test_system(facts):
    assert facts["system"] == {
        "vendor": "Some Maker",
        "product": None,
        "bios_version": None,
        "bios_date": None,
        "architecture": "x86_64",
        "kernel": "6.1.0-28-amd64",
        "virtualization": "none",
        "container": "none",
        "firmware": "uefi",
        "secure_boot": True,
        "lockdown": "integrity",
        "iommu": {"enabled": True, "groups": 2, "passthrough": True},
        "os": {"id": "debian", "version_id": "12", "name": 'Debian "twelve"'},
    }


def test_cpu(facts):
    assert facts["cpu"] == {
        "vendor": "GenuineIntel",
        "model": "Xeon 9",
        "sockets": 1,
        "cores": 2,
        "threads": 4,
        "present": 6,
        "threads_per_core": 2,
        "smt_active": True,
        "hybrid": False,
        "governors": ["performance", "powersave"],
        "ml_flags": ["amx_tile", "avx2"],
    }


def test_memory_counts_online_blocks_only(facts):
    assert facts["memory"]["total_bytes"] == 2**30
    assert facts["memory"]["installed_bytes"] == 9 * 2**27


def test_accelerators_are_neither_console_nor_switch_nor_audio(facts):
    assert [card["pci_id"] for card in facts["accelerators"]] == ["10de:2330", "1002:74a1"]


def test_a_card_without_driver_has_its_memory_by_its_id(facts):
    card = facts["accelerators"][0]
    assert (card["memory_bytes"], card["memory_class_gb"], card["memory_source"]) == (80 * 2**30, 80, "pci_id")
    assert card["link"] == {
        "generation": 1,
        "max_generation": 5,
        "width": 16,
        "max_width": 16,
        "path_generation": 4,
        "path_width": 8,
    }
    assert card["numa_node"] == 0
    assert card["driver"] is None


def test_a_card_with_driver_has_its_memory_by_the_driver(facts):
    card = facts["accelerators"][1]
    assert (card["memory_bytes"], card["memory_class_gb"], card["memory_source"]) == (206141652992, 192, "driver")
    # The kernel says -1, but there is only one node.
    assert card["numa_node"] == 0
    assert card["power"] == {"limit_watts": 750.0, "default_limit_watts": None, "max_limit_watts": 750.0}


def test_fabric_counts_switches(facts):
    assert facts["fabric"]["nvswitches"] == 1


def test_virtual_interfaces_are_no_cards(facts):
    (card,) = facts["network"]
    assert card["name"] == "eth0"
    assert card["pci_address"] == "0000:06:00.0"
    assert card["speed_mbps"] is None
    assert card["numa_node"] == 0


def test_network_card(facts):
    (card,) = facts["network"]
    assert (card["pci_id"], card["virtual_function"], card["carrier"]) == ("15b3:1021", False, False)


def test_the_container_gets_its_share(facts):
    assert facts["limits"] == {"cgroup": 2, "memory_bytes": 2**29, "cpus": 1.5, "cpuset": [0, 1]}


def test_a_missing_member_of_an_array(facts):
    assert facts["raid"] == {
        "arrays": [{"name": "md0", "level": "raid1", "state": "clean", "members": ["sda1"], "degraded": 1}],
        "degraded_arrays": 1,
    }


def test_a_disk_is_free_only_when_looked_at(facts):
    used, free = facts["disks"]
    assert used["in_use"] == ["partitions: nvme0n1p1", "mounted: /"]
    assert used["model"] == "FAST DISK"
    assert free["in_use"] == []
    assert free["by_id"] == "nvme-eui.0123"
    assert free["serial"] == "S1"
    assert free["size_bytes"] == 1048576


def test_a_disk_that_udev_does_not_know_is_not_called_free(tmp_path):
    (disk,) = gather(str(write(tmp_path, {"/sys/block/sda/size": "8", "/sys/block/sda/dev": "8:0"})))["disks"]
    assert disk["in_use"] is None


def test_filesystems_hold_data(facts):
    assert [entry["mount"] for entry in facts["filesystems"]] == ["/", "/srv/a b"]


def test_drivers(facts):
    assert facts["drivers"] == [{"name": "nouveau", "version": None}]


def nones(value, name=""):
    if value is None:
        yield name
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from nones(part, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for part in value:
            yield from nones(part, name + "[]")


@pytest.mark.parametrize("files", [SERVER, {}], ids=["server", "empty"])
def test_each_none_is_explained_once(files, tmp_path):
    facts = gather(str(write(tmp_path, files)))
    unreadable = facts.pop("unreadable")
    assert sorted(nones(facts)) == sorted(re.sub(r"\[.*?\]", "[]", entry["fact"]) for entry in unreadable)
    assert len({entry["fact"] for entry in unreadable}) == len(unreadable)
    assert all(entry["path"] and entry["reason"] for entry in unreadable)


def test_facts_can_be_written_as_json(facts):
    assert json.loads(json.dumps(facts)) == facts


def check(documented, value, name):
    """Every key is documented with its type, and every documented key is there."""
    kinds = {"str": str, "int": int, "bool": bool, "float": float, "dict": dict, "list": list}
    if value is None:
        return
    assert isinstance(value, kinds[documented["type"]]), name
    if documented["type"] == "list" and documented.get("elements") == "dict" and "contains" in documented:
        for part in value:
            check({"type": "dict", "contains": documented["contains"]}, part, name)
    elif documented["type"] == "dict":
        assert set(documented["contains"]) == set(value), name
        for key, part in value.items():
            assert documented["contains"][key]["description"], f"{name}.{key}"
            check(documented["contains"][key], part, f"{name}.{key}")


def test_the_documentation_names_every_key(facts):
    text = (REPOSITORY / "plugins/modules/hardware_facts.py").read_text()
    returned = yaml.safe_load(re.search(r'RETURN = r"""(.*?)"""', text, re.S).group(1))
    check(returned["ansible_facts"]["contains"]["mlops_hardware"], facts, "mlops_hardware")


def test_the_page_on_facts_names_every_key():
    text = (REPOSITORY / "plugins/modules/hardware_facts.py").read_text()
    returned = yaml.safe_load(re.search(r'RETURN = r"""(.*?)"""', text, re.S).group(1))
    page = (REPOSITORY / "docs/facts.md").read_text()
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}
    for name, section in returned["ansible_facts"]["contains"]["mlops_hardware"]["contains"].items():
        if name not in ("schema", "unreadable"):
            words = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", sections[name]))))
            words |= {word.rpartition(".")[2] for word in words}
            assert set(section["contains"]) <= words, name


def test_nvidia_smi_is_not_asked_for_a_recorded_tree(tmp_path, monkeypatch):
    def ask():
        raise AssertionError("asked")

    monkeypatch.setattr(nvidia_smi, "ask", ask)
    gather(str(write(tmp_path, {**SERVER, "/sys/module/nvidia/version": "570.1"})))


def test_a_driver_that_tells_nothing_leaves_the_cards_and_says_so(tmp_path):
    facts = gather(str(write(tmp_path, SERVER)), b"No devices were found")
    assert len(facts["accelerators"]) == 2
    assert any(entry["fact"] == "accelerators.nvidia_smi" for entry in facts["unreadable"])


def test_this_machine_can_be_read():
    facts = gather()
    assert facts["cpu"]["threads"] >= 1
    assert facts["memory"]["total_bytes"] > 0
    assert facts["filesystems"]
