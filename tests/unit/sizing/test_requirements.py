"""Requirement and waiver data: what is wrong is named, with the nearest valid word."""

from __future__ import annotations

import contextlib
import datetime

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import assessment, requirements, waivers
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from hypothesis import given
from hypothesis import strategies as st
from samples import GIB, PROFILES, machine, requirement, shipped

TODAY = datetime.date(2026, 6, 1)


def without(data, key):
    return {name: value for name, value in data.items() if name != key}


BAD = {
    "unknown fact": (
        requirement(fact="memory.totl_bytes"),
        ["site.memory", "fact", "did you mean 'memory.total_bytes'"],
    ),
    "unknown key": (requirement(severty="warn"), ["site.memory", "severty", "'warn'", "did you mean 'severity'"]),
    "unit of another kind": (requirement(unit="Gb/s"), ["site.memory", "unit", "'Gb/s'", "memory.total_bytes"]),
    "unit in wrong case": (requirement(unit="gib"), ["did you mean 'GiB'"]),
    "no unit": (without(requirement(), "unit"), ["unit", "missing", "GiB"]),
    "unit of a plain number": (requirement(fact="cpu.threads"), ["unit", "no unit"]),
    "class of host memory": (requirement(unit="GB class"), ["unit", "does not fit"]),
    "bad operator": (requirement(operator="=>"), ["operator", "'=>'", "valid: ", ">="]),
    "operator of another kind": (requirement(fact="system.vendor", operator=">="), ["operator"]),
    "text for a number": (requirement(value="4"), ["value", "'4'", "number"]),
    "negative": (requirement(value=-1), ["value", "-1"]),
    "not a number": (requirement(value=float("nan")), ["value"]),
    "list without aggregate": (requirement(fact="disks[].size_bytes", unit="GB"), ["aggregate", "missing"]),
    "aggregate of no list": (requirement(aggregate="sum"), ["aggregate", "not a list"]),
    "path of no filesystem": (requirement(at="/srv"), ["at", "filesystems"]),
    "relative path": (requirement(fact="filesystems[].available_bytes", at="srv"), ["at", "absolute"]),
    "bad severity": (requirement(severity="warning"), ["severity", "did you mean 'warn'"]),
    "bad profiles": (requirement(profiles="base"), ["profiles"]),
    "bad condition": (
        requirement(applies_when=[{"fact": "cpu.thread", "operator": ">=", "value": 1}]),
        ["cpu.threads"],
    ),
    "tolerance": (requirement(tolerance_percent=90), ["tolerance_percent", "90"]),
    "sum of GPU memory": (
        requirement(fact="accelerators[].memory_bytes", aggregate="min", unit="GB class", combine="sum"),
        ["combine"],
    ),
    "reserved id": (requirement(id="together.x"), ["together"]),
    "no id": (without(requirement(), "id"), ["requirement number 1", "id"]),
    "removes nothing": ({"id": "base.memry", "state": "absent"}, ["did you mean 'base.memory'"]),
    "no dictionary": (7, ["requirement number 1", "7"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_named(case):
    data, words = BAD[case]
    with pytest.raises(DataError) as error:
        requirements.merge(shipped(), [data])
    for word in words:
        assert word in str(error.value)


def test_given_twice():
    with pytest.raises(DataError, match=r"'site.memory'.* twice"):
        requirements.merge([], [requirement(), requirement()])


def test_shipped_requirements_are_valid_and_complete():
    for data in requirements.merge(shipped(), []):
        for key in ("title", "why", "remedy", "source"):
            assert data.get(key), f"{data['id']} has no {key}"
        assert data["id"].startswith(data["profiles"][0] + ".")
    assert (
        sorted(["base", "gpu_training", "gpu_inference", "registry", "storage", "ci_server", "ci_runner", "monitoring"])
        == PROFILES
    )


def test_own_requirement_replaces_adds_and_removes():
    own = [
        {"id": "base.memory", "state": "absent"},
        requirement(),
        requirement(id="registry.memory", profiles=["registry"], value=64),
    ]
    merged = {data["id"]: data for data in requirements.merge(shipped(), own)}
    assert "base.memory" not in merged
    assert merged["site.memory"]["value"] == 4
    assert merged["registry.memory"]["value"] == 64


def test_what_shares_a_host_adds_up_in_the_first_ones_unit():
    own = [
        requirement(id="a", value=4, combine="sum"),
        requirement(id="b", value=1024, unit="MiB", combine="sum"),
        requirement(id="c", value=900),
    ]
    together = requirements.of_host(requirements.merge([], own), ["base"])[-1]
    assert together["value"] == 5
    assert together["unit"] == "GiB"
    assert "b 1024 MiB" in together["why"]


def waiver(**changes):
    return {"check": "base.memory", "host": "gpu1", "reason": "ordered", "until": "2026-06-01", **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"until": "2026-05-31"}, ["expired on 2026-05-31", "base.memory", "gpu1"]),
        ({"until": "31.12.2026"}, ["until", "31.12.2026"]),
        ({"check": "base.memroy"}, ["did you mean 'base.memory'"]),
        ({"host": "gpu11"}, ["did you mean 'gpu1'"]),
        ({"reason": " "}, ["reason"]),
        ({"untill": "x"}, ["did you mean 'until'"]),
    ],
)
def test_bad_waivers_are_named(changes, words):
    with pytest.raises(DataError) as error:
        waivers.check([waiver(**changes)], ["base.memory"], ["gpu1"], TODAY)
    for word in words:
        assert word in str(error.value)


def test_a_waiver_counts_on_its_last_day_and_marks_one_row():
    facts = machine()
    facts["memory"]["total_bytes"] = GIB // 2
    hosts = {name: {"facts": facts, "profiles": ["base"], "error": ""} for name in ("gpu1", "gpu2")}
    result = assessment.assess(hosts, shipped(), [], [waiver()], [], "normal", TODAY)
    assert [(row["host"], row["check"]) for row in result["blocking"]] == [("gpu2", "base.memory")]
    assert result["summary"]["waived"] == 1


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
half_valid = st.builds(
    lambda key, value: requirement(**{key: value}), st.sampled_from(sorted(requirements.KEYS)), json_like
)


@given(st.lists(half_valid | json_like, max_size=3))
def test_hostile_requirements_raise_nothing_but_the_documented_error(own):
    with contextlib.suppress(DataError):
        assessment.assess({"a": {"facts": machine(), "profiles": ["base"]}}, shipped(), own, today=TODAY)


@given(json_like, json_like)
def test_hostile_hosts_and_waivers_raise_nothing_but_the_documented_error(hosts, waived):
    with contextlib.suppress(DataError):
        assessment.assess(hosts, shipped(), [], waived, today=TODAY)
