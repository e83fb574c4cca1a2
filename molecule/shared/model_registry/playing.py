"""How the registry's tests run a playbook again, from the controller.

The words behind the playbook are options of ansible-playbook; `environment` adds to the one that is there.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

# As it is read here: molecule has it coloured, and the tests look for phrases.
PLAIN = {"ANSIBLE_PIPELINING": "true", "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "1"}


def process(inventory, playbook, more, environment) -> dict[str, Any]:
    return {
        "args": [str(word) for word in ("ansible-playbook", "-i", inventory, playbook, *more)],
        "env": {**os.environ, "ANSIBLE_INJECT_FACT_VARS": "false", **environment},
        "text": True,
    }


def run(inventory, playbook, *more, **environment) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**process(inventory, playbook, more, environment), capture_output=True, check=False)


def start(inventory, playbook, *more, **environment) -> subprocess.Popen[str]:
    """The run as it begins, for tests that disturb or watch it."""
    return subprocess.Popen(
        **process(inventory, playbook, more, environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def in_one_line(text: str) -> str:
    """Long messages are wrapped; the tests look for phrases."""
    return " ".join(text.replace("''", "'").split())


def play(inventory, playbook, *more, **environment) -> tuple[int, str]:
    """How it ended, and what was said."""
    result = run(inventory, playbook, *more, **environment)
    return result.returncode, in_one_line(result.stdout + result.stderr)


def inventory_of(host) -> str:
    return host.backend.ansible_runner.inventory_file
