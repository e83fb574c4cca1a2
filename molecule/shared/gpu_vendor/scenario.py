"""What the tests of the scenarios with GPUs share: runs of their converge playbook, and what the container shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/lab"))

from counting import executions  # noqa: E402


class Scenario:
    """The scenario's container, and its converge playbook to run again with other variables."""

    def __init__(self, host) -> None:
        self.host = host
        self.inventory = Path(host.backend.ansible_runner.inventory_file)
        self.playbook = self.inventory.parent / "converge.yml"

    def converge(self, *options: str, callback: str = "default", **variables: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [
                "ansible-playbook",
                "-i",
                self.inventory,
                self.playbook,
                *options,
                "-e",
                json.dumps(variables),
            ],
            env={
                **os.environ,
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_STDOUT_CALLBACK": callback,
                # Molecule has its own runs coloured, and these would inherit it.
                "ANSIBLE_FORCE_COLOR": "false",
                "COLUMNS": "400",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def good(self, *options: str, **variables: object) -> str:
        result = self.converge(*options, **variables)
        assert result.returncode == 0, result.stdout[-4000:]
        return result.stdout

    def changed(self, **variables: object) -> int:
        return int(re.search(r"changed=(\d+)", self.good(**variables))[1])

    def executions(self, **variables: object) -> int:
        return sum(executions(self.good(callback="ansible.posix.json", **variables)).values())

    def refused(self, *options: str, **variables: object) -> str:
        """Converge, which must fail, and return what was said."""
        result = self.converge(*options, **variables)
        assert result.returncode == 2, result.stdout[-4000:]
        return re.sub(r"\s+", " ", result.stdout)

    def machine(self, options: str = "") -> None:
        """Other GPUs in the simulated machine."""
        self.host.check_output(f"python3 /srv/machine.py {options}")

    def publish(self, *versions: str) -> None:
        """Another version of the driver in the vendor's repository, known to apt."""
        self.host.check_output(f"python3 /srv/vendor.py /srv/gpu-vendor {' '.join(versions)}")
        self.host.check_output("apt-get -q update")

    def packages(self) -> dict[str, str]:
        """Installed packages with their versions."""
        told = self.host.check_output("dpkg-query --show --showformat '${Package} ${Version} ${db:Status-Abbrev}\\n'")
        rows = [line.split() for line in told.splitlines()]
        return {row[0]: row[1] for row in rows if row[2][1] == "i"}

    def driver(self) -> str | None:
        """The version of the user space."""
        return self.packages().get("nvidia-driver-cuda")

    def called(self, program: str) -> list[str]:
        """How a stand-in of a program was called so far."""
        told = self.host.run("cat /var/log/gpu-vendor.log").stdout
        return [line for line in told.splitlines() if line.split()[0] == program]
