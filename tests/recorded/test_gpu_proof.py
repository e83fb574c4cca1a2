"""The proof on what drivers of real machines said: each serves its own cards, and one card less is found."""

from __future__ import annotations

import re
import shutil

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_check import Host, Wanted, check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_nvidia import parse
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import failures
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree

from .place import names

USES = ("nvidia-smi-xml/*.xml", "kfd-sysfs/**/nodes/**/*")


def prove(root, data: bytes | None, hardware: dict, vendor: str = "nvidia", **other) -> dict:
    def ask(arguments: tuple[str, ...]) -> bytes:
        if arguments[0] == "topo" or data is None:
            raise Broken("not recorded")
        return data

    tree = Tree(str(root))
    host = Host(tree=tree, files=tree, ask=ask, modules=dict, kernel_log=lambda: "")
    return check(Wanted(hardware=hardware, vendor=vendor, module=False, **other), host)


def bus_of(data: bytes) -> dict:
    """The facts that the PCI bus of this machine would have given: addresses and ids, and nothing that the driver said."""
    cards = [
        {"vendor": "nvidia", "pci_address": address, "pci_id": gpu["pci_id"]}
        for address, gpu in parse(data)["gpus"].items()
    ]
    return {"accelerators": cards}


@pytest.mark.parametrize("name", names("nvidia-smi-xml/*.xml") or ["none"])
def test_a_machine_proves_its_own_cards(name, recorded, tmp_path):
    data = (recorded / name).read_bytes()
    found = prove(tmp_path, data, bus_of(data))
    addresses = re.findall(r'<gpu id="([0-9A-Fa-f:.]+)"', data.decode())
    if not parse(data)["gpus"]:
        assert not addresses
        return
    assert not [line for line in found["lines"] if line.startswith(("FAIL", "PENDING"))]


def test_seven_of_eight_h100(recorded, tmp_path):
    data = (recorded / "nvidia-smi-xml/nvidia-aicr__h100-sxm-x8-driver-570.xml").read_bytes()
    hardware = bus_of(data)
    assert len(hardware["accelerators"]) == 8
    whole = prove(tmp_path, data, hardware, branch=570)
    assert [row["verdict"] for row in whole["rows"] if row["check"] == "count"] == ["pass"]
    assert {row["found"] for row in whole["rows"] if row["check"] == "memory"} == {"80 GB"}
    lost = hardware["accelerators"][5]["pci_address"]
    start = data.index(f'<gpu id="0000{lost.upper()}"'.encode())
    end = data.index(b"</gpu>", start) + len(b"</gpu>")
    found = prove(tmp_path, data[:start] + data[end:], hardware, branch=570)
    assert found["verdict"] == "fail"
    assert f"7 of 8 GPUs answer, missing: {lost}" in failures(found["rows"])


@pytest.mark.parametrize(("name", "count"), [("topo-mi210-xgmi-pcie", 8), ("topology-parsing", 1)])
def test_amd_machines(name, count, recorded, tmp_path):
    target = tmp_path / "sys/class/kfd/kfd/topology"
    target.mkdir(parents=True)
    shutil.copytree(next((recorded / f"kfd-sysfs/rocmdp__{name}").glob("**/nodes")), target / "nodes")
    hardware = gather(str(tmp_path))
    assert len(hardware["accelerators"]) == count
    assert [row["verdict"] for row in prove(tmp_path, None, hardware, "amd")["rows"] if row["check"] == "count"] == [
        "pass"
    ]
    gone = hardware["accelerators"][-1]["pci_address"]
    for node in (target / "nodes").iterdir():
        text = (node / "properties").read_text() if (node / "properties").exists() else ""
        location = re.search(r"^location_id ([0-9]+)$", text, re.M)
        if location and location.group(1) != "0" and f"{int(location.group(1)) >> 8:02x}" == gone[5:7]:
            shutil.rmtree(node)
    found = prove(tmp_path, None, hardware, "amd")
    assert f"{count - 1} of {count} GPUs answer, missing: {gone}" in failures(found["rows"])
