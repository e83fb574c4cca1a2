"""What is shown of a failed job's log."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
from log_excerpt import LINES_OF_THE_END, excerpt

QUIET = [f"ok: task {number}" for number in range(200)]


@pytest.mark.parametrize(
    "cause",
    [
        "\x1b[31mfatal: [host]: FAILED! => \x1b[0m",
        "  \x1b[2m│\x1b[0m fatal: [host]: UNREACHABLE! =>",
        "[ERROR]: Task failed: Module failed",
        "Traceback (most recent call last):",
        "E       AssertionError: assert 1 == 2",
        "error: the docker daemon does not start",
        "ERROR: tests/a.py:65:8: disallowed-name",
        "NOT CAUGHT a unit is not restarted (12 s) ...",
    ],
)
def test_the_cause_is_shown_though_much_follows_it(cause):
    shown = excerpt("\n".join([*QUIET, cause, "    msg: no space left", *QUIET]))
    assert "    msg: no space left" in shown
    assert shown[-1] == QUIET[-1]
    assert len(shown) < 70
    assert not any("\x1b" in line for line in shown)


def test_the_end_alone_where_nothing_looks_like_a_cause():
    assert excerpt("\n".join(QUIET)) == ["[...]", *QUIET[-LINES_OF_THE_END:]]


def test_a_short_log_is_shown_whole_and_once():
    lines = ["start", "fatal: [host]: FAILED!", "end"]
    assert excerpt("\n".join(lines)) == lines


def test_many_causes_do_not_flood():
    shown = excerpt("\n".join(["fatal: [host]: FAILED!", *QUIET] * 30))
    assert len(shown) < 120
