# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which the host's own programs are asked: with a time limit, in the plain language, without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import NamedTuple, Optional

SECONDS = 60


class Answer(NamedTuple):
    """What a program said; `code` is None where it is not there or took too long."""

    code: Optional[int]  # noqa: UP045 (evaluated at run time on Python 3.9)
    output: str


Ask = Callable[[list[str]], Answer]


def ask(command: list[str], seconds: int = SECONDS, errors: bool = True) -> Answer:
    """Run `command` and return its exit code and its output, with that for errors in one text where it is wanted. Never raises."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            timeout=seconds,
            check=False,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C",
                "HOME": os.environ.get("HOME", "/root"),
            },
        )
    except (OSError, subprocess.SubprocessError):
        return Answer(None, "")
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"))
