"""A scenario's converge playbook, run again by the scenario's tests with other variables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/lab"))

from counting import executions  # noqa: E402


class Again:
    """playbook: as a rule the one beside the inventory, but a second release has that of the first."""

    # Beside what all have.
    environment: ClassVar[dict[str, str]] = {}

    def __init__(self, host, playbook: Path | None = None) -> None:
        self.host = host
        self.inventory = Path(host.backend.ansible_runner.inventory_file)
        self.playbook = playbook or self.inventory.parent / "converge.yml"

    def converge(self, *options: str, callback: str = "default", **variables: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["ansible-playbook", "-i", self.inventory, self.playbook, *options, "-e", json.dumps(variables)],
            env={
                **os.environ,
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_STDOUT_CALLBACK": callback,
                "COLUMNS": "400",
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def good(self, *options: str, **variables: object) -> str:
        """Converge, which must succeed, and return what was said."""
        result = self.converge(*options, **variables)
        assert result.returncode == 0, result.stdout[-4000:]
        return result.stdout

    def changed(self, **variables: object) -> int:
        """How many tasks changed something."""
        return int(re.search(r"changed=(\d+)", self.good(**variables))[1])

    def executions(self, **variables: object) -> int:
        return sum(executions(self.good(callback="ansible.posix.json", **variables)).values())

    def refused(self, *options: str, **variables: object) -> str:
        """Converge, which must fail, and return what was said."""
        result = self.converge(*options, **variables)
        assert result.returncode == 2, result.stdout[-4000:]
        return re.sub(r"\s+", " ", result.stdout)
