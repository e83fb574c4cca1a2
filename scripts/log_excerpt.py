"""What a reader of a failed job's log looks for: the places where something was reported as failed, then the end.

Molecule and Ansible go on after a failure (clean-up, recap), so the end of a log alone seldom holds its cause.
"""

from __future__ import annotations

import re

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Ansible's two ways to report a task, a traceback, pytest's line of an assertion, our own programs' and ansible-test's errors.
CAUSE = re.compile(r"(^|\W)(fatal: \[|\[ERROR\]: |Traceback \(most recent|E {3,}\S|error: |ERROR: |NOT CAUGHT )")
CAUSES = 4
LINES_OF_A_CAUSE = 16
LINES_OF_THE_END = 40


def excerpt(text: str) -> list[str]:
    """The lines to show of a log, without colours; "[...]" stands for what is left out."""
    lines = [COLOUR.sub("", line) for line in text.splitlines()]
    end = max(0, len(lines) - LINES_OF_THE_END)
    shown: list[str] = []
    after = 0
    found = 0
    for number, line in enumerate(lines[:end]):
        if number < after or found == CAUSES or not CAUSE.search(line):
            continue
        if number > after:
            shown.append("[...]")
        found += 1
        after = min(number + LINES_OF_A_CAUSE, end)
        shown += lines[number:after]
    if after < end:
        shown.append("[...]")
    return shown + lines[end:]
