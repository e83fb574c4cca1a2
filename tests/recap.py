"""Ansible's play recap as numbers."""

from __future__ import annotations

import re


def recap(output: str) -> dict[str, dict[str, int]]:
    """By host: `ok`, `changed`, `unreachable`, `failed`, `skipped`, `rescued`, `ignored`. Empty without a recap."""
    lines = re.findall(r"^(\S+)\s+: (ok=\d+.*)$", output, flags=re.MULTILINE)
    return {host: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}
