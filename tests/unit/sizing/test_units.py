"""Units and the classes in which GPU memory is sold, with values that real cards report."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import units
from hypothesis import given
from hypothesis import strategies as st

MIB = 2**20


@pytest.mark.parametrize(
    ("mib", "sold_as"),
    [
        (81559, 80),  # H100
        (40960, 40),  # A100
        (15360, 16),  # T4
        (23028, 24),  # A10G
        (24564, 24),  # RTX 4090
        (32510, 32),  # V100
        (95830, 94),  # H100 NVL
        (143771, 141),  # H200
        (183359, 180),  # B200
        (196592, 192),  # MI300X
    ],
)
def test_a_card_has_the_class_it_is_sold_as(mib, sold_as):
    assert units.gpu_class(mib * MIB) == sold_as


@given(st.floats(0, 2**45), st.floats(0, 2**45))
def test_more_memory_is_never_a_lower_class(one, other):
    assert units.gpu_class(min(one, other)) <= units.gpu_class(max(one, other))


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (7.84, "GiB", "7.8 GiB"),
        (2, "", "2"),
        (80, "GB class", "80 GB class"),
        (0.08, "TB", "0.08 TB"),
        (4096, "", "4096"),
    ],
)
def test_amounts_are_written_as_a_person_does(amount, unit, text):
    assert units.shown(amount, unit) == text


def test_gib_is_not_gb():
    assert units.UNITS[units.BYTES]["GiB"] > units.UNITS[units.BYTES]["GB"]
