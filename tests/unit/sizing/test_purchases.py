"""What to buy: one entry for each thing and place, by the largest need; nothing for what was waived or is not known."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.assessment import assess
from samples import GIB, machine, requirement


def bought(facts: dict[str, Any], *demands: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return assess({"gpu1": {"facts": facts, "profiles": ["base"]}}, list(demands), **more)["purchases"]


def demand(fact: str, value: float, **more: Any) -> dict[str, Any]:
    base = {"id": f"site.{fact}", "profiles": ["base"], "fact": fact, "operator": ">=", "value": value}
    return {**base, **more}


CARD = {"vendor": "nvidia", "memory_bytes": 15360 * 2**20}


@pytest.mark.parametrize(
    ("facts", "wanted", "entry"),
    [
        ({"accelerators": [CARD]}, demand("accelerators[]", 8), {"item": "gpu", "count": 7, "class_gb": None}),
        (
            {"accelerators": [CARD, CARD, {"memory_bytes": 81559 * 2**20}]},
            demand("accelerators[].memory_bytes", 80, unit="GB class", aggregate="min"),
            {"item": "gpu", "count": 2, "class_gb": 80},
        ),
        (
            {"memory": {"total_bytes": 500 * GIB, "dimm_slots": 24, "dimms_populated": 4}},
            demand("memory.total_bytes", 1024, unit="GiB"),
            {"item": "memory", "size_bytes": 524 * GIB, "slots_free": 20},
        ),
        (
            {"memory": {"dimm_slots": 24, "dimms_populated": 4}},
            demand("memory.dimms_missing", 0, operator="<="),
            {"item": "dimm", "count": 8, "slots_free": 20},
        ),
        (
            {"network": [{"speed_mbps": 1000}]},
            demand("network[].speed_mbps", 100, unit="Gb/s", aggregate="max"),
            {"item": "nic", "count": 1, "bits_per_second": 100e9},
        ),
        (
            {"filesystems": [{"mount": "/", "available_bytes": 10**12}]},
            demand("filesystems[].available_bytes", 3, unit="TB", at="/srv"),
            {"item": "storage", "size_bytes": 2e12, "at": "/srv"},
        ),
        ({"cpu": {"threads": 8}}, demand("cpu.threads", 64), {"item": "server", "threads": 64}),
    ],
)
def test_what_a_shortfall_costs(facts, wanted, entry):
    (found,) = bought(facts, wanted)
    flat = {**found, **found.get("options", [{}])[0]}
    assert {key: flat[key] for key in entry} == pytest.approx(entry)
    assert (found["host"], found["checks"], found["severity"]) == ("gpu1", [wanted["id"]], "fail")


def test_several_checks_of_one_place_buy_once_and_the_most():
    facts = {"memory": {"total_bytes": GIB}}
    small = requirement(id="a", value=4, severity="warn")
    (found,) = bought(facts, small, requirement(id="b", value=8), requirement(id="c", value=2))
    assert found["size_bytes"] == 7 * GIB
    assert found["checks"] == ["a", "b", "c"]
    assert found["severity"] == "fail"


def test_nothing_is_bought_for_what_passes_is_unknown_or_waived():
    waiver = {"check": "site.memory", "host": "gpu1", "reason": "ordered", "until": "2999-01-01"}
    assert bought(machine(), requirement()) == []
    assert bought({}, requirement()) == []
    assert bought({"memory": {"total_bytes": 1}}, requirement(), waived=[waiver]) == []


def test_what_money_does_not_mend_is_not_on_the_list():
    facts = {"system": {"architecture": "riscv64"}}
    assert bought(facts, {**demand("system.architecture", 0), "operator": "in", "value": ["x86_64"]}) == []
