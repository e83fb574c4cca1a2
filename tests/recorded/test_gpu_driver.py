"""The driver for each recorded machine with GPUs: a selection that serves it, or a refusal with the right reason."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import pytest
from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_packages import packages
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import GENERATIONS, block_of
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .lspci import make_tree, make_tree_of_ids
from .place import names
from .test_pci_machines import write_hwloc

USES = (
    *("nvidia-smi-xml/*.xml", "rocm/*.json", "kfd-sysfs/**/nodes/**/*", "hwloc/xml__*.xml"),
    *("pci/gpud__lspci*", "pci/pciids__*", "pci/nfd__rootfs-1/**/*"),
)
# Chips' names in the PCI id database begin with their generation.
CODES = {
    **{"GM": "Maxwell", "GP": "Pascal", "GV": "Volta", "TU": "Turing"},
    **{"GA": "Ampere", "AD": "Ada Lovelace", "GH": "Hopper", "GB": "Blackwell"},
}
# Who recorded no architecture or id, by name.
BY_NAME = {
    "telegraf__gtx-1660-ti": "Turing",
    "telegraf__quadro-p400": "Pascal",
    "telegraf__gtx-1070-ti": None,
    "datakit__v100-pcie-x1": "Volta",
}
SYSTEM = {"debian": "12", "ubuntu": "24.04", "rocky": "9.6"}


def on(facts: dict, system: str = "debian", machine: str = "x86_64", **options) -> dict:
    """What the recorded machine would get with an operating system, which none of the records tells."""
    told = {"os": {"id": system, "version_id": SYSTEM[system]}, "architecture": machine, "kernel": "6.1.0-40-amd64"}
    return packages({**facts, "system": {**facts["system"], **told, "container": "none"}}, options)


def test_the_blocks_of_device_ids_agree_with_the_pci_id_database(recorded):
    """Every chip of a known generation lies in its block, and no chip of another one does."""
    text = (recorded / "pci/pciids__pci.ids-2026.08.22").read_text(errors="replace")
    nvidia = re.search(r"^10de  .*\n((?:[\t#].*\n)+)", text, re.M).group(1)
    checked = set()
    wrong = {}
    for device, name in re.findall(r"^\t([0-9a-f]{4})  (.*)$", nvidia, re.M):
        chip = re.match(r"([A-Z]{2})\d\d[0-9A-Z]\w*\b", name)
        # Audio, USB and bridges of the same chips, which are no GPUs.
        if chip is None or re.search(r"Audio|USB|UCSI|Switch|PCIe host|PCI bridge", name):
            continue
        expected = CODES.get(chip.group(1))
        if block_of(f"10de:{device}") != expected:
            wrong[device] = (name, block_of(f"10de:{device}"), expected)
        elif expected:
            checked.add(expected)
    assert wrong == {}
    assert checked == set(CODES.values())


@pytest.mark.parametrize("name", names("nvidia-smi-xml/*.xml"))
def test_nvidias_cards(name, recorded):
    data = (recorded / name).read_bytes()
    facts = gather("/nonexistent", data)
    said = ElementTree.fromstring(data).findtext(".//product_architecture")  # noqa: S314
    stem = name.partition("/")[2].removesuffix(".xml")
    generation = BY_NAME.get(stem, said)
    for system in SYSTEM:
        result = on(facts, system)
        if generation is None:
            assert "generation of the GPU" in result["refused"]["reason"]
            assert on(facts, system, flavour="proprietary")["refused"] is None
            continue
        assert result["refused"] is None
        assert (result["branch"], result["generations"]) == (580, [generation])
        old = generation in ("Pascal", "Volta")
        assert result["flavour"] == ("proprietary" if old else "open")
        for branch in BRANCHES:
            refused = on(facts, system, branch=branch)["refused"]
            row = GENERATIONS[generation]
            assert bool(refused) is (branch < row.first or (old and branch > 580)), (branch, refused)


def test_the_host_of_an_older_driver_gets_that_of_its_branch(recorded):
    """A container on the recorded H100 host takes its user space from the branch of the loaded module."""
    facts = gather("/nonexistent", (recorded / "nvidia-smi-xml/nvidia-aicr__h100-sxm-x8-driver-570.xml").read_bytes())
    version = facts["accelerators"][0]["driver_version"]
    loaded = {**facts, "drivers": [{"name": "nvidia", "version": version}]}
    told = {"os": {"id": "debian", "version_id": "12"}, "architecture": "x86_64", "container": "docker"}
    result = packages({**loaded, "system": {**facts["system"], **told}}, {})
    assert version.startswith("570.")
    assert (result["branch"], result["module"]) == (570, "none")


PARTS = ("fabric_manager", "nscq", "nvsdm", "imex", "nvlink5")
PCI = {
    "gpud__lspci-vvv-8xH100-SXM": (make_tree, "Hopper", ["nvidia-fabricmanager", "libnvidia-nscq"]),
    "gpud__lspci.nn.a100": (make_tree_of_ids, "Ampere", ["nvidia-fabricmanager", "libnvidia-nscq"]),
    "gpud__lspci.nn.a10": (make_tree_of_ids, "Ampere", []),
}


@pytest.mark.parametrize("name", PCI)
def test_servers_without_a_driver(name, recorded, tmp_path):
    make, generation, fabric = PCI[name]
    make((recorded / "pci" / name).read_text(errors="replace"), tmp_path)
    facts = gather(str(tmp_path))
    result = on(facts)
    assert (result["flavour"], result["generations"]) == ("open", [generation])
    assert [row["name"] for row in result["packages"] if row["part"] in PARTS] == fabric
    # Debian's own driver lacks Fabric Manager, without which the GPUs behind NVSwitches compute nothing.
    refused = on(facts, source="distribution")["refused"]
    assert bool(refused) is bool(fabric)
    if refused:
        assert "fabric_manager" in refused["reason"]


def test_a_machine_without_gpus_gets_nothing(recorded):
    result = on(gather(str(recorded / "pci/nfd__rootfs-1")))
    assert result["nothing"] == "Nothing to install: the host has no GPU."
    assert result["install"] == []


def test_power8_with_p100_is_of_no_supported_architecture(recorded, tmp_path):
    write_hwloc(ElementTree.parse(recorded / "hwloc/xml__power8gpudistances.xml"), tmp_path)  # noqa: S314
    facts = gather(str(tmp_path))
    assert len(facts["accelerators"]) == 4
    assert "ppc64le" in on(facts, "ubuntu", machine="ppc64le")["refused"]["reason"]
    assert on(facts, "ubuntu")["generations"] == ["Pascal"]


def test_a_gpu_older_than_all_branches_is_refused(recorded, tmp_path):
    """Fermi, beside a Radeon."""
    write_hwloc(ElementTree.parse(recorded / "hwloc/xml__32em64t-2n8c2t-pci-wholeio.xml"), tmp_path)  # noqa: S314
    facts = gather(str(tmp_path))
    assert "(10de:1094) is not known" in on(facts)["refused"]["reason"]


@pytest.mark.parametrize("name", names("rocm/*.json"))
def test_amds_cards(name, recorded):
    facts = gather("/nonexistent", None, (recorded / name).read_bytes())
    result = on(facts, "ubuntu")
    if "mi100" in name:
        assert (result["vendor"], result["generations"], result["module"]) == ("amd", ["CDNA"], "dkms")
        assert result["install"][-1] == "amdrocm7.14"
        assert "amd-older" in [row["fact"] for row in result["unverified"]]
    else:
        # Graphics cards: ROCm only where somebody asks for it.
        assert facts["accelerators"][0]["pci_id"] in result["nothing"]
        assert on(facts, "ubuntu", force_vendor="amd")["install"][-1] == "amdrocm7.14"


@pytest.mark.parametrize(
    ("name", "packages_of"), [("topo-mi210-xgmi-pcie", "amdrocm7.14-gfx90a"), ("topology-parsing", "amdrocm7.14")]
)
def test_amds_cards_by_the_kernels_topology(name, packages_of, recorded, tmp_path):
    target = tmp_path / "sys/class/kfd/kfd/topology"
    target.mkdir(parents=True)
    shutil.copytree(next((recorded / f"kfd-sysfs/rocmdp__{name}").glob("**/nodes")), target / "nodes")
    assert on(gather(str(tmp_path)))["install"][-1] == packages_of
