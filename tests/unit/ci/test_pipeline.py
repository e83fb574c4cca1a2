"""What a pipeline file may say, and that each mistake is named with its line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

SOURCE = Path(__file__).resolve().parents[3] / "roles/ci_server/files/master/mlops_pipeline.py"
spec = importlib.util.spec_from_file_location("mlops_pipeline", SOURCE)
pipeline = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = pipeline
spec.loader.exec_module(pipeline)

STEP = "steps:\n  - name: train\n    run: python train.py\n"


def wrong(text: str) -> list[str]:
    with pytest.raises(pipeline.Wrong) as caught:
        pipeline.parse(text)
    return caught.value.problems


def test_the_smallest_one():
    found = pipeline.parse(STEP)
    assert found.steps == (pipeline.Step("train", "python train.py"),)
    assert (found.gpus, found.promote, found.artifacts, found.timeout) == (0, None, (), 24 * 3600)


def test_everything_that_there_is():
    found = pipeline.parse(
        """
promote: main
gpus: 2
timeout: 12h
environment:
  EPOCHS: 3
  NAME: "a: b"
artifacts:
  - out/*.json
steps:
  - name: train
    run: |
      python train.py
      python check.py
    timeout: 90m
  - {name: promote it, run: python promote.py, promote: true}
"""
    )
    assert found == pipeline.Pipeline(
        steps=(
            pipeline.Step("train", "python train.py\npython check.py\n", timeout=5400),
            pipeline.Step("promote it", "python promote.py", promote=True),
        ),
        artifacts=("out/*.json",),
        gpus=2,
        timeout=12 * 3600,
        promote="main",
        environment={"EPOCHS": "3", "NAME": "a: b"},
    )


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_times(text, seconds):
    assert pipeline.parse(f"timeout: {text}\n{STEP}").timeout == seconds


@pytest.mark.parametrize("text", ["0", "-5", "1.5h", "h", "10 minutes", "[1]", "{a: 1}", "true", "''", "12345678"])
def test_no_times(text):
    (problem,) = wrong(f"timeout: {text}\n{STEP}")
    assert problem.startswith(".mlops/pipeline.yml, line 1: timeout must be a number of seconds")


# Where it is, and what is said.
MISTAKES = {
    "unknown key": ("gpu: 1\n" + STEP, 1, "has no key 'gpu'; there are: steps, artifacts, gpus"),
    "unknown key of a step": (STEP + "    retry: 3\n", 4, "a step has no key 'retry'; there are: name, run"),
    "double key": (STEP + "gpus: 1\ngpus: 2\n", 5, "has the key 'gpus' twice"),
    "double key of a step": (STEP + "    run: other\n", 4, "a step has the key 'run' twice"),
    "a key that is a list": ("? [a]\n: 1\n" + STEP, 1, "has no key ''"),
    "no steps": ("gpus: 1\n", 1, "needs at least one step"),
    "empty steps": ("steps: []\n", 1, "needs at least one step"),
    "steps as a mapping": ("steps:\n  train: x\n", 2, "steps must be a list"),
    "a step as a text": (
        "steps:\n  - python train.py\n",
        2,
        "a step must be a mapping (key: value), and is 'python train.py'",
    ),
    "no command": ("steps:\n  - name: train\n", 2, "a step lacks 'run'"),
    "no name": ("steps:\n  - run: x\n", 2, "a step lacks 'name'"),
    "a command as a number": ("steps:\n  - name: a\n    run: 5\n", 3, "run must be a text, and is '5'"),
    "a command as a list": ("steps:\n  - name: a\n    run: [ls]\n", 3, "run must be a text, and is a list"),
    "an empty command": ("steps:\n  - name: a\n    run:\n", 3, "run must be a text, and is empty"),
    "a name with a slash": ("steps:\n  - name: a/b\n    run: x\n", 2, "the name 'a/b' must be"),
    "two of one name": (STEP + "  - {name: train, run: x}\n", 1, "two steps have the name 'train'"),
    "a text for a number": (f"gpus: many\n{STEP}", 1, "gpus must be a whole number from 0 to 64, and is 'many'"),
    "less than nothing": (f"gpus: -1\n{STEP}", 1, "gpus must be a whole number"),
    "too many": (f"gpus: 65\n{STEP}", 1, "gpus must be a whole number"),
    "a text for a yes": (STEP + "    promote: maybe\n", 4, "promote must be true or false, and is 'maybe'"),
    "promotion of nothing": (STEP + "    promote: true\n", 1, "does not name the branch (promote: main)"),
    "promotion of true": (f"promote: true\n{STEP}", 1, "promote must be a text"),
    "an artifact of another's": (
        f"artifacts: [/etc/passwd]\n{STEP}",
        1,
        "the artifact '/etc/passwd' must be a path inside",
    ),
    "an artifact above": (f"artifacts:\n  - a\n  - a/../../b\n{STEP}", 3, "the artifact 'a/../../b' must be"),
    "artifacts as a text": (f"artifacts: out\n{STEP}", 1, "artifacts must be a list"),
    "a variable in small letters": (
        f"environment:\n  path: x\n{STEP}",
        2,
        "the variable 'path' must be capital letters",
    ),
    "a variable of ours": (f"environment: {{MLOPS_BRANCH: main}}\n{STEP}", 1, "not begin with MLOPS_"),
    "a variable as a list": (
        f"environment:\n  A: [1]\n{STEP}",
        2,
        "the variable 'A' must have one value, and has a list",
    ),
    "variables as a list": (f"environment: [A]\n{STEP}", 1, "environment must be a mapping"),
    "a list": ("- a\n", 1, "the pipeline must be a mapping (key: value), and is a list"),
    "a text": ("hello\n", 1, "the pipeline must be a mapping (key: value), and is 'hello'"),
    "an object": ("steps: !!python/object/apply:os.system ['true']\n", 1, "anchors, aliases and tags"),
    "no YAML": ("steps:\n  - name: 'a\n    run: x\n", 4, "not YAML"),
    "a tab": ("steps:\n\t- name: a\n", 2, "not YAML"),
    "two documents": (f"{STEP}---\n{STEP}", 4, "not YAML"),
    "an alias": ("steps: &a\n  - name: x\n    run: y\nartifacts: *a\n", 1, "anchors, aliases and tags"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_have_a_line_and_a_sentence(name):
    text, line, sentence = MISTAKES[name]
    problems = wrong(text)
    assert any(
        problem.startswith(f".mlops/pipeline.yml, line {line}: ") and sentence in problem for problem in problems
    ), problems


def test_all_mistakes_are_told_at_once():
    problems = wrong("gpus: x\ntimeout: y\nsteps:\n  - {name: a, run: b, z: c}\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        f".mlops/pipeline.yml, line {line}" for line in (1, 2, 4)
    ]


def test_the_path_is_the_one_that_was_read():
    with pytest.raises(pipeline.Wrong, match=r"^ml/ci\.yml, line 1: "):
        pipeline.parse("a: b", "ml/ci.yml")


def test_empty_and_huge():
    assert wrong("") == wrong("# nothing\n") == [".mlops/pipeline.yml, line 1: the file is empty"]
    assert "larger than 64 KiB" in wrong("#" * 70_000)[0]
    assert (
        "51 steps, and 50 are the most"
        in wrong("steps:\n" + "".join(f"  - {{name: s{i}, run: x}}\n" for i in range(51)))[0]
    )


def test_deep_nesting_is_a_mistake_and_no_crash():
    assert wrong("steps: " + "[" * 5000)


def test_a_long_value_is_cut_in_the_message():
    (problem,) = wrong(f"gpus: {'9' * 500}\n{STEP}")
    assert len(problem) < 200


def test_dates_and_nulls_are_texts_or_mistakes():
    """YAML makes a date of some texts, and nothing of others."""
    assert pipeline.parse("steps:\n  - {name: a, run: '2027-01-01'}\n").steps[0].run == "2027-01-01"
    assert "run must be a text, and is '2027-01-01'" in wrong("steps:\n  - {name: a, run: 2027-01-01}\n")[0]
    assert "run must be a text, and is '~'" in wrong("steps:\n  - {name: a, run: ~}\n")[0]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        assert pipeline.parse(text).steps
    except pipeline.Wrong as caught:
        assert caught.problems
        assert all("\n" not in problem for problem in caught.problems)


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
RUNS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: text.strip()
)


@given(st.dictionaries(NAMES, RUNS, min_size=1, max_size=5), st.integers(0, 64), st.integers(1, 999_999))
def test_what_is_written_is_what_is_read(steps, gpus, timeout):
    data = {"steps": [{"name": name, "run": run} for name, run in steps.items()], "gpus": gpus, "timeout": timeout}
    found = pipeline.parse(yaml.safe_dump(data, allow_unicode=True))
    assert {step.name: step.run for step in found.steps} == steps
    assert (found.gpus, found.timeout) == (gpus, timeout)
