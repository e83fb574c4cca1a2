"""Published and measured figures of real models: those that our sizing has to meet, and those that it must not."""

from __future__ import annotations

from dataclasses import replace

import accuracy
import pytest
from accuracy_data import NOT_MODELLED, POINTS, WRONG


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.id} {point.what}")
def test_a_published_figure_is_met(point):
    found = accuracy.result(point)
    assert found.met, f"{point.amount} {point.unit} against {found.band}, {found.deviation:+.1%}, rule {point.rule}"


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_figure_does_not_come_out(wrong):
    ours = accuracy.band(wrong.quantities, wrong.workload, wrong.unit)[1]
    assert accuracy.is_right(wrong), f"{ours} {wrong.unit} is not {wrong.right}, or as near to {wrong.wrong}"


def test_a_point_can_fail():
    """The rules are rules: a figure far from what we say is not met."""
    for point in POINTS:
        high = accuracy.result(point).band[2]
        far = round(high / 2 if point.rule == "at most" else high * 2 + 2, 6)
        assert not accuracy.result(replace(point, amount=far)).met, point.what


def test_no_point_is_dropped():
    """All points of the collected list are there, or named with a reason."""
    ids = {point.id for point in POINTS} | {word for left in NOT_MODELLED for word in left.id.split(", ")}
    assert ids == {f"D{number}" for number in range(1, 31)}


def test_the_page_is_what_is_computed():
    assert accuracy.PAGE.read_text() == accuracy.render(), "run: make sizing-accuracy"
