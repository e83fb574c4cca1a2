"""Verdicts: one row each, unknown is never a pass, more hardware is never worse."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import assessment, requirements, verdicts
from hypothesis import given
from hypothesis import strategies as st
from samples import GIB, PROFILES, machine, requirement, shipped

DEMANDS = requirements.of_host(requirements.merge(shipped(), []), PROFILES)


def paths(data, prefix=()):
    """Every place in nested facts."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*prefix, key)
        yield from paths(value, (*prefix, key))


PLACES = [place for place in paths(machine()) if isinstance(place[-1], str)]


def changed(facts, place, value):
    facts = copy.deepcopy(facts)
    inner = facts
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return facts


def judged(facts, **changes):
    demand = requirement(**changes)
    demand = {key: value for key, value in demand.items() if value is not None}
    requirements.check(demand, demand["id"])
    return verdicts.judge("h", facts, demand)


def test_a_good_machine_passes_all():
    assert {verdicts.judge("h", machine(), demand)["status"] for demand in DEMANDS} == {"pass"}


@pytest.mark.parametrize(
    ("mib", "wanted", "status"),
    [(81559, 80, "pass"), (40960, 80, "fail"), (15360, 16, "pass"), (95830, 96, "fail"), (None, 16, "unknown")],
)
def test_gpu_memory_is_compared_by_class(mib, wanted, status):
    facts = {"accelerators": [{"memory_bytes": mib and mib * 2**20}]}
    row = judged(facts, fact="accelerators[].memory_bytes", aggregate="min", value=wanted, unit="GB class")
    assert row["status"] == status


def test_short_by_is_in_the_required_unit():
    row = judged({"memory": {"total_bytes": 3 * GIB}}, tolerance_percent=7)
    assert (row["status"], row["found"], row["short_by"]) == ("fail", "3 GiB", "1 GiB")


def test_what_the_kernel_keeps_is_tolerated():
    assert judged({"memory": {"total_bytes": 3.75 * GIB}}, tolerance_percent=7)["status"] == "pass"
    assert judged({"memory": {"total_bytes": 3.75 * GIB}})["status"] == "fail"


@pytest.mark.parametrize(
    ("path", "found"), [("/var/lib/x", "400 GiB"), ("/var/library", "50 GiB"), ("/var/lib", "400 GiB"), ("/", "50 GiB")]
)
def test_free_space_is_that_of_the_filesystem_that_holds_the_path(path, found):
    assert judged(machine(), fact="filesystems[].available_bytes", at=path)["found"] == found


def test_where_counts_some_items_only():
    facts = {"accelerators": [{"vendor": "nvidia"}, {"vendor": "amd"}, {"vendor": "nvidia"}]}
    changes = {"fact": "accelerators[]", "unit": None, "value": 3, "where": {"vendor": "nvidia"}}
    assert judged(facts, **changes)["found"] == "2"
    facts["accelerators"].append({"vendor": None})
    assert judged(facts, **changes)["status"] == "unknown"


def test_what_does_not_apply_is_skipped_and_what_may_apply_is_unknown():
    condition = [{"fact": "system.firmware", "operator": "==", "value": "uefi"}]
    assert judged({**machine(), "system": {"firmware": "bios"}}, applies_when=condition)["status"] == "skipped"
    assert judged({**machine(), "system": {}}, applies_when=condition)["status"] == "unknown"


def test_evidence_says_why_a_fact_is_missing():
    unreadable = [{"fact": "memory.total_bytes", "path": "/proc/meminfo", "reason": "not there"}]
    assert "/proc/meminfo: not there" in judged({"unreadable": unreadable})["evidence"]


def test_a_list_that_could_not_be_read_is_not_an_empty_list():
    facts = {"accelerators": [], "unreadable": [{"fact": "accelerators", "path": "/sys/bus/pci", "reason": "denied"}]}
    assert judged(facts, fact="accelerators[]", unit=None)["status"] == "unknown"


@given(st.sampled_from(PLACES), st.sampled_from([None, KeyError]), st.integers(0, 2**50))
def test_removing_a_fact_never_makes_a_pass(place, nothing, memory):
    facts = machine()
    facts["memory"]["total_bytes"] = memory
    fewer = changed(facts, place, nothing)
    for demand in DEMANDS:
        before = verdicts.judge("h", facts, demand)["status"]
        if before != "pass":
            assert verdicts.judge("h", fewer, demand)["status"] != "pass", (demand["id"], place)


RANK = {"fail": 0, "warn": 1, "pass": 3}


@given(
    st.sampled_from(
        [
            place
            for place in PLACES
            if place[-1] in ("total_bytes", "threads", "memory_bytes", "speed_mbps", "available_bytes", "width")
        ]
    ),
    st.integers(1, 2**43),
    st.integers(0, 2**43),
)
def test_more_hardware_never_worsens_a_verdict(place, amount, more):
    less, richer = changed(machine(), place, amount), changed(machine(), place, amount + more)
    for demand in DEMANDS:
        one, other = (verdicts.judge("h", facts, demand)["status"] for facts in (less, richer))
        assert RANK[other] >= RANK[one], demand["id"]


hostile = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["mount", "link", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.sampled_from(PLACES), hostile)
def test_hostile_facts_still_give_one_row_each(place, value):
    facts = changed(machine(), place, value)
    hosts = {"a": {"facts": facts, "profiles": PROFILES}, "b": {"facts": None, "profiles": PROFILES, "error": "gone"}}
    result = assessment.assess(hosts, shipped())
    for host in hosts:
        found = [row["check"] for row in result["rows"] if row["host"] == host]
        assert found == [demand["id"] for demand in DEMANDS]
    assert all(row["status"] in verdicts.STATUSES for row in result["rows"])
    assert all(line.isprintable() for line in result["lines"])


@given(hostile)
def test_facts_that_are_no_facts_are_unknown(facts):
    for demand in DEMANDS:
        assert verdicts.judge("h", facts, demand)["status"] in ("unknown", "skipped")


def test_a_lost_host_without_profiles_has_a_row_and_blocks():
    result = assessment.assess({"a": {"facts": None, "profiles": [], "error": "gone"}}, shipped())
    assert [row["host_error"] for row in result["blocking"]] == ["gone"]
    assert "gone" in result["message"]


@pytest.mark.parametrize(("gate", "count"), [("strict", 1), ("normal", 0), ("report_only", 0)])
def test_unknown_blocks_at_the_strict_gate_only(gate, count):
    hosts = {"a": {"facts": {}, "profiles": ["base"], "error": ""}}
    result = assessment.assess(hosts, [requirement()], level=gate)
    assert len(result["blocking"]) == count


def test_control_characters_do_not_reach_the_terminal():
    facts = {"system": {"vendor": "a\x1b[2Jb\nc"}}
    row = judged(facts, fact="system.vendor", operator="==", value="x", unit=None)
    assert row["found"].isprintable()
