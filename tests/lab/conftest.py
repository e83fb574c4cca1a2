"""The lab as a person would use it: through scripts/lab.sh, on the containers that it starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "scripts/lab.sh"
HOSTS = ("gpu1", "storage1", "registry1", "ci1", "monitor1")


def lab(*arguments: str, timeout: int = 900, **environment: str) -> subprocess.CompletedProcess:
    """Run scripts/lab.sh; its output is both streams together, as on a terminal."""
    return subprocess.run(
        [LAB, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def site(*options: str, **environment: str) -> subprocess.CompletedProcess:
    return lab("play", "playbooks/site.yml", *options, **environment)


def on(host: str, *command: str) -> subprocess.CompletedProcess:
    """Run a command in a lab container."""
    command = ("docker", "exec", f"mlops-lab-{host}", *command)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
