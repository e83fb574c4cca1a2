"""What nvidia-smi and rocm-smi wrote on real machines, all of it, and what they did not mean to be read."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import nvidia_smi
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .place import names

USES = ("nvidia-smi-xml/*", "nvidia-smi-text/*", "rocm/*")
CARDS = {
    # file: cards, power limit in watts now and at most, virtualization
    "datakit__gtx-1050": (1, None, None, "none"),
    "datakit__v100-pcie-x1": (1, 250.0, 250.0, "pass-through"),
    "nvidia-aicr__h100-sxm-x8-driver-570": (8, 700.0, 700.0, "pass-through"),
    "telegraf__a100-sxm4-v12": (1, 500.0, 500.0, "none"),
    "telegraf__a10g": (1, 300.0, 300.0, "pass-through"),
    "telegraf__gtx-1070-ti": (1, None, None, None),
    "telegraf__gtx-1660-ti": (1, 130.0, 130.0, "none"),
    "telegraf__quadro-p2000-v12": (1, 75.0, 75.0, "none"),
    "telegraf__quadro-p400": (1, None, None, "none"),
    "telegraf__rtx-3060-v12": (1, 170.0, 190.0, "none"),
    "telegraf__rtx-3080-v12": (1, 336.0, 336.0, "pass-through"),
    "telegraf__rtx-3080-v13": (1, 320.0, 336.0, "none"),
    "telegraf__rtx-3090-v12": (1, 200.0, 375.0, "pass-through"),
    "telegraf__tesla-t4": (1, 70.0, 70.0, "pass-through"),
}
INCOMPLETE = {"telegraf__a100-sxm4-v12"}


@pytest.mark.parametrize("name", names("nvidia-smi-xml/*"))
def test_power_and_virtualization(name, recorded):
    key = name.partition("/")[2].removesuffix(".xml")
    count, now, most, mode = CARDS[key]
    facts = gather("/nonexistent", (recorded / name).read_bytes())
    cards = facts["accelerators"]
    assert len(cards) == count
    assert {card["power"]["limit_watts"] for card in cards} == {now}
    assert {card["power"]["max_limit_watts"] for card in cards} == {most}
    assert {card["virtualization"] for card in cards} == {mode}
    # A file that says four cards and describes one is told of.
    told = [entry for entry in facts["unreadable"] if entry["fact"] == "accelerators.nvidia_smi"]
    assert bool(told) is (key in INCOMPLETE)


@pytest.mark.parametrize("name", names("nvidia-smi-xml/*"))
def test_memory_links_and_slowdowns_as_written(name, recorded):
    text = (recorded / name).read_text(errors="replace")
    cards = gather("/nonexistent", text.encode())["accelerators"]
    sizes = re.findall(
        r"<fb_memory_usage>\s*<total>(\d+) MiB", re.sub(r"<mig_devices>.*?</mig_devices>", "", text, flags=re.S)
    )
    assert [card["memory_bytes"] for card in cards] == [int(size) * 2**20 for size in sizes]
    generations = re.findall(r"<max_link_gen>(\d)</max_link_gen>", text)
    assert [str(card["link"]["max_generation"]) for card in cards if card["link"]["max_generation"]] == generations
    active = len(re.findall(r"_reason_hw_(?:slowdown|thermal_slowdown|power_brake_slowdown)>Active<", text))
    assert sum(len(card["health"]["slowdowns"] or []) for card in cards) == active


def test_fabric_manager_took_the_h100_in(recorded):
    cards = gather("/nonexistent", (recorded / "nvidia-smi-xml/nvidia-aicr__h100-sxm-x8-driver-570.xml").read_bytes())[
        "accelerators"
    ]
    assert {card["health"]["fabric"] for card in cards} == {"completed"}
    assert {card["health"]["ecc"]["enabled"] for card in cards} == {True}


@pytest.mark.parametrize("name", names("nvidia-smi-text/*"))
def test_text_in_place_of_xml_is_refused_with_a_reason(name, recorded):
    data = (recorded / name).read_bytes()
    facts = gather("/nonexistent", data)
    assert facts["accelerators"] == []
    (entry,) = [entry for entry in facts["unreadable"] if entry["fact"] == "accelerators.nvidia_smi"]
    assert "not well-formed XML" in entry["reason"]
    with pytest.raises(nvidia_smi.Broken):
        nvidia_smi.parse(data)


@pytest.mark.parametrize("name", names("rocm/*"))
def test_rocm_cards_as_written(name, recorded):
    text = (recorded / name).read_text()
    sizes = [int(size) for size in re.findall(r'"VRAM Total Memory \(B\)": "(\d+)"', text)]
    cards = gather("/nonexistent", None, text.encode())["accelerators"]
    assert [card["memory_bytes"] for card in cards] == sizes
    assert {card["driver"] for card in cards} == {"amdgpu"}
