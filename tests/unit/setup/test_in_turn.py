"""Which mutations and scenarios a run tries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
from run_scenario import Broken, Mutation, turn
from run_tests import in_turn, without_waiting


def named(count):
    return [Mutation(f"m{number}", "file", "find", "replace", "converge") for number in range(count)]


def test_all_are_tried_where_nothing_is_said_of_a_number():
    assert turn(named(5), "all", 7) == named(5)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_each_has_its_turn_within_as_many_commits_as_there_are_mutations(count, wanted):
    tried = {mutation.name for commits in range(count) for mutation in turn(named(count), str(wanted), commits)}
    assert tried == {mutation.name for mutation in named(count)}


@pytest.mark.parametrize("wanted", [1, 2, 9])
def test_no_more_are_tried_than_there_are_and_none_twice(wanted):
    names = [mutation.name for mutation in turn(named(4), str(wanted), 3)]
    assert len(names) == len(set(names)) == min(wanted, 4)


def test_a_scenario_without_mutations_has_none_to_try():
    assert turn([], "2", 3) == []


def test_another_word_is_refused():
    with pytest.raises(Broken, match="'some'"):
        turn(named(2), "some", 0)


def test_all_have_their_turn_within_four_commits():
    names = [f"role{number}-debian13" for number in range(7)]
    assert sorted(name for commits in (3, 4, 5, 6) for name in in_turn(names, commits)) == names


def test_what_always_runs_never_waits_and_what_waits_is_named(monkeypatch, capsys):
    monkeypatch.delenv("MLOPS_ALL", raising=False)
    monkeypatch.setattr("run_tests.commits_so_far", lambda: 0)
    names = ["a-debian12", "a-debian13", "a_upgrade-debian12", "b-debian12"]
    assert without_waiting(names, ["a-debian12", "b-debian12"]) == ["a-debian12", "a-debian13", "b-debian12"]
    assert "wait a_upgrade-debian12:" in capsys.readouterr().out
    monkeypatch.setenv("MLOPS_ALL", "1")
    assert without_waiting(names, []) == names
