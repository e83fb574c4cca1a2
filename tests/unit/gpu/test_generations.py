"""Generations of GPUs and branches of the driver: each fact that the tables state."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, flavours
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import (
    BLOCKS,
    GENERATIONS,
    block_of,
    generation_of,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table

PRE_TURING = ("Maxwell", "Pascal", "Volta")


def test_open_modules_are_for_turing_and_newer():
    assert {name for name, row in GENERATIONS.items() if not row.open_possible} == set(PRE_TURING)


def test_grace_hopper_and_blackwell_require_open_modules():
    assert {name for name, row in GENERATIONS.items() if row.open_required} == {
        "Grace Hopper",
        "Blackwell",
        "Blackwell Ultra",
    }


def test_580_is_the_last_branch_for_maxwell_pascal_and_volta():
    assert {name: row.last for name, row in GENERATIONS.items() if row.last} == dict.fromkeys(PRE_TURING, 580)


def test_blackwell_needs_570():
    assert GENERATIONS["Blackwell"].first == 570


def test_the_known_branches():
    assert list(BRANCHES) == [470, 535, 550, 560, 570, 575, 580, 590, 595, 610, 615, 620]


def test_580_has_long_term_support_to_june_2028():
    assert {number for number, row in BRANCHES.items() if row.long_term} == {580}
    assert BRANCHES[580].end_of_life == "2028-06"


def test_from_620_there_are_no_proprietary_modules():
    assert {number for number in BRANCHES if "proprietary" not in flavours(number)} == {620}


def test_open_is_the_default_since_560():
    assert {number for number in BRANCHES if flavours(number)[0] == "open"} == {n for n in BRANCHES if n >= 560}


def test_cuda_13_begins_with_580():
    assert {number for number, row in BRANCHES.items() if row.cuda_major == 13} == {n for n in BRANCHES if n >= 580}


@pytest.mark.parametrize("pci_id", [name for name in accelerator_table.MODELS if name.startswith("10de:")])
def test_the_blocks_of_ids_agree_with_the_table_of_models(pci_id):
    assert block_of(pci_id) == accelerator_table.MODELS[pci_id].architecture


def test_every_architecture_of_the_table_is_a_generation():
    named = {row.architecture for name, row in accelerator_table.MODELS.items() if name.startswith("10de:")}
    assert named <= set(GENERATIONS)


def test_blocks_do_not_overlap_and_are_in_order():
    edges = [edge for first, last, _name in BLOCKS for edge in (first, last)]
    assert edges == sorted(edges)


@pytest.mark.parametrize(
    ("card", "generation"),
    [
        ({"pci_id": "10de:2330"}, "Hopper"),
        ({"pci_id": "10de:2342"}, "Grace Hopper"),
        ({"pci_id": "10de:2348"}, "Grace Hopper"),
        ({"pci_id": None, "name": "NVIDIA GH200 480GB", "architecture": "Hopper"}, "Grace Hopper"),
        ({"pci_id": "10de:2901"}, "Blackwell"),
        ({"pci_id": "10de:3182"}, "Blackwell Ultra"),
        ({"pci_id": "10de:31c2"}, "Blackwell Ultra"),
        # An id that the table does not know, by its block, and by what its driver says.
        ({"pci_id": "10de:1f07"}, "Turing"),
        ({"pci_id": "10de:fff0", "architecture": "Ampere"}, "Ampere"),
        ({"pci_id": "10de:fff0", "architecture": "Rubin"}, None),
        ({"pci_id": "10de:3000"}, None),
        ({"pci_id": "10de:"}, None),
        ({"pci_id": "1002:2330"}, None),
        ({}, None),
    ],
)
def test_generation_of_a_card(card, generation):
    assert generation_of(card) == generation


def test_a_person_may_name_the_generation():
    assert generation_of({"pci_id": "10de:2330"}, {"10de:2330": "Turing"}) == "Turing"
