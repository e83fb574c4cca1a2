"""Which mutations and scenarios a run tries."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
from run_scenario import Broken, Mutation, turn
from run_tests import in_turn, second_release


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


def test_all_have_their_turn_within_three_commits():
    names = [f"role{number}-debian13" for number in range(7)]
    turns = [in_turn(names, commits) for commits in (3, 4, 5)]
    assert sorted(name for now, _left in turns for name in now) == names
    assert all(sorted(now + left) == names for now, left in turns)


def test_a_scenario_of_the_second_release_with_tests_of_its_own_takes_no_turns(tmp_path, monkeypatch):
    (tmp_path / "molecule/cluster-debian13/tests").mkdir(parents=True)
    monkeypatch.setattr("run_tests.ROOT", tmp_path)
    assert second_release(["a-debian12", "a-debian13", "cluster-debian13"]) == ["a-debian13"]
