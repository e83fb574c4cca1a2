"""Workloads against the GPUs of a fleet: what is enough, what to buy, and what cannot be known."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.assessment import assess
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from hypothesis import given
from hypothesis import strategies as st
from test_workloads import LLAMA_8B, LLAMA_70B

MIB = 2**20
# What the cards report: an H100 of the 80 GB class, a V100 of 32, a T4 of 16.
H100, V100, T4 = 81559 * MIB, 32510 * MIB, 15360 * MIB
TUNE = {
    "name": "tune",
    "task": "finetune",
    "method": "full",
    "precision": "bf16",
    "model": LLAMA_70B,
    "gpus": 16,
    "sharding": "zero3",
    "chunked_loss": True,
}
SERVE = {"name": "answers", "task": "serve", "model": LLAMA_8B, "concurrent_tokens": 65536}


def host(*sizes: int | None, **more: Any) -> dict[str, Any]:
    cards = [{"memory_bytes": size, **more} for size in sizes]
    return {"facts": {"accelerators": cards}, "profiles": []}


def rows(*workloads: dict[str, Any], **hosts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = assess(hosts, [], workloads=list(workloads))["rows"]
    return {row["check"]: row for row in found if row["host"] == "(fleet)"}


def test_enough_on_two_hosts():
    row = rows(TUNE, gpu1=host(*[H100] * 8), gpu2=host(*[H100] * 8))["workload.tune.gpus"]
    assert row["status"] == "pass"
    assert row["found"] == "8 of the 80 GB class on gpu2, 8 of the 80 GB class on gpu1"
    assert row["short_by"] == ""


def test_a_shortfall_names_what_to_buy_by_class():
    row = rows(TUNE, gpu1=host(*[H100] * 8))["workload.tune.gpus"]
    assert (row["status"], row["short_by"]) == ("fail", "8 GPUs")
    assert "8 more GPUs of the 64 GB class" in row["remedy"]
    assert "8 more GPUs of the 94 GB class" in row["remedy"]
    assert row["required"].startswith("16 GPUs with 4")
    assert "weights" in row["why"]


def test_a_limited_run_does_not_judge_the_fleet_by_the_hosts_it_kept():
    def judged(*fleet_hosts: str, **hosts: dict[str, Any]) -> dict[str, Any]:
        return assess(hosts, [], workloads=[SERVE], fleet_hosts=fleet_hosts)["rows"][0]

    row = judged("gpu1", "storage1", storage1=host())
    assert (row["status"], row["short_by"], row["remedy"]) == ("skipped", "", "")
    assert row["found"] == "not judged: this run leaves out gpu1"
    assert judged("storage1", storage1=host())["status"] == "fail"
    # What the kept hosts hold is enough whatever the others have.
    assert judged("gpu1", "storage1", gpu1=host(H100))["status"] == "pass"


def test_a_recipe_that_would_do_with_the_gpus_there():
    four = {**TUNE, "model": LLAMA_8B, "gpus": 4}
    row = rows(four, gpu1=host(H100, H100))["workload.tune.gpus"]
    assert row["status"] == "fail"
    assert row["remedy"].startswith("It would do on 2 GPUs that are there: set gpus to 2. Or add ")


def test_no_card_is_large_enough():
    row = rows({**TUNE, "gpus": 1, "sharding": "none"}, gpu1=host(H100))["workload.tune.gpus"]
    assert "No GPU that is sold holds it" in row["remedy"]


def test_cards_that_are_too_small_do_not_count():
    row = rows(SERVE, gpu1=host(T4, T4))["workload.answers.gpus"]
    assert (row["status"], row["found"], row["short_by"]) == ("fail", "none", "1 GPU")


def test_slices_of_a_card_are_no_cards():
    mig = {"enabled": True, "instances": [{"memory_bytes": V100}] * 4}
    whole = {**SERVE, "gpus": 2}
    assert rows(whole, gpu1=host(H100, mig=mig))["workload.answers.gpus"]["status"] == "fail"
    assert rows(SERVE, gpu1=host(H100, mig=mig))["workload.answers.gpus"]["found"] == "1 of the 32 GB class on gpu1"


def test_what_just_fits_warns():
    row = rows(SERVE, gpu1=host(27 * 1024 * MIB))["workload.answers.gpus"]
    assert row["status"] == "warn"
    assert "just fit" in row["remedy"]


@pytest.mark.parametrize(
    "other",
    [host(None), {"facts": None, "profiles": [], "error": "lost"}, {"facts": {"accelerators": None}, "profiles": []}],
)
def test_what_is_not_known_is_not_counted(other):
    row = rows(SERVE, gpu1=host(T4), gpu2=other)["workload.answers.gpus"]
    assert row["status"] == "unknown"
    # What is known to be enough is enough, whatever the others are.
    assert rows(SERVE, gpu1=host(H100), gpu2=other)["workload.answers.gpus"]["status"] == "pass"


def test_together_they_may_be_too_much():
    both = [SERVE, {**SERVE, "name": "more"}]
    found = rows(*both, gpu1=host(H100))
    assert found["workload.answers.gpus"]["status"] == found["workload.more.gpus"]["status"] == "pass"
    row = found["workload.together.gpus"]
    assert (row["status"], row["short_by"]) == ("warn", "1 GPU")
    assert "one after another" in row["remedy"]
    assert rows(*both, gpu1=host(H100, V100))["workload.together.gpus"]["status"] == "pass"


def test_a_shortfall_blocks_and_can_be_waived():
    short = {"gpu1": host(T4)}
    result = assess(short, [], workloads=[SERVE])
    assert [row["check"] for row in result["blocking"]] == ["workload.answers.gpus"]
    assert "or 1 more GPU of the 32 GB class." in result["message"]
    waiver = {"check": "workload.answers.gpus", "host": "(fleet)", "reason": "ordered", "until": "2999-12-31"}
    assert assess(short, [], (), [waiver], workloads=[SERVE])["blocking"] == []


def test_no_workload_no_row():
    assert rows(gpu1=host(H100)) == {}


CARDS = st.lists(st.sampled_from([None, T4, V100, H100]), max_size=20)


@given(CARDS, st.sampled_from([T4, V100, H100]))
def test_one_more_card_never_worsens_a_verdict(cards, more):
    order = ["fail", "unknown", "warn", "pass"]
    before, after = (rows(SERVE, TUNE, gpu1=host(*sizes)) for sizes in (cards, [*cards, more]))
    for check in before:
        if not {before[check]["status"], after[check]["status"]} & {"unknown", "skipped"}:
            assert order.index(after[check]["status"]) >= order.index(before[check]["status"])


@given(CARDS, st.integers(0, 19))
def test_a_card_that_is_not_measured_never_makes_a_pass(cards, place):
    before = rows(SERVE, gpu1=host(*cards))["workload.answers.gpus"]["status"]
    hidden = [None if number == place else size for number, size in enumerate(cards)]
    after = rows(SERVE, gpu1=host(*hidden))["workload.answers.gpus"]["status"]
    assert after == before or after == "unknown"


def test_the_hosts_of_a_workload_need_memory_and_threads_too():
    def judged(total: int | None, threads: int) -> dict[str, str]:
        facts = {
            "accelerators": [{"memory_bytes": H100}] * 4,
            "memory": {"total_bytes": total},
            "cpu": {"threads": threads},
        }
        found = rows({**TUNE, "model": LLAMA_8B, "gpus": 4}, gpu1={"facts": facts, "profiles": []})
        return {check.rsplit(".", 1)[1]: row["status"] for check, row in found.items()}

    # No file system is known, so storage is not.
    known = {"gpus": "pass", "storage": "unknown"}
    assert judged(2**40, 64) == {**known, "host_memory_bytes": "pass", "cpu_threads": "pass"}
    assert judged(2**30, 4) == {**known, "host_memory_bytes": "warn", "cpu_threads": "warn"}
    assert judged(None, 64)["host_memory_bytes"] == "unknown"


ALIKE = {
    "id": "site.trainers",
    "hosts": 2,
    "like": [
        {"fact": "accelerators[]", "operator": ">=", "value": 2},
        {"fact": "accelerators[].memory_bytes", "aggregate": "min", "operator": ">=", "value": 80, "unit": "GB class"},
    ],
    "remedy": "Order a second one.",
}


def test_so_many_hosts_like_this():
    def judged(**hosts: dict[str, Any]) -> dict[str, Any]:
        return assess(hosts, [], fleet_requirements=[ALIKE])["rows"][-1]

    assert judged(a=host(H100, H100), b=host(H100, H100), c=host(T4))["status"] == "pass"
    row = judged(a=host(H100, H100), b=host(H100, T4))
    assert (row["status"], row["found"], row["short_by"]) == ("fail", "1: a", "1")
    assert row["remedy"] == "Order a second one."
    assert row["required"] == "2 hosts with accelerators[] >= 2 and accelerators[].memory_bytes >= 80 GB class"
    lost = {"facts": None, "profiles": [], "error": "no route"}
    assert judged(a=host(H100, H100), b=lost)["status"] == "unknown"
    # One card is too few whatever its memory.
    assert judged(a=host(H100, H100), b=host(None))["status"] == "fail"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hosts": 0}, "hosts: 0 is not a whole number from 1"),
        ({"hots": 2}, "did you mean 'hosts'?"),
        ({"like": []}, "is not a list of conditions"),
        ({"like": [{"fact": "cpu.thread", "operator": ">=", "value": 1}]}, "did you mean 'cpu.threads'?"),
        ({"severity": "bad"}, "severity: 'bad'"),
    ],
)
def test_a_bad_fleet_requirement_is_named(change, said):
    with pytest.raises(DataError, match=r"site\.trainers") as error:
        assess({}, [], fleet_requirements=[{**ALIKE, **change}])
    assert said in str(error.value)
