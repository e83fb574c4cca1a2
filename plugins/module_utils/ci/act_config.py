# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files of Forgejo's and Gitea's runners, which have most keys in common, and what they leave on the host.

Sources: `config.example.yaml` of forgejo-runner 12 and gitea-runner 3.3, Forgejo's documentation of `server.connections` (12.x) and of
registration without a server.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any


def uuid_of(secret: str) -> str:
    """Return the UUID that Forgejo derives from a secret of 40 hexadecimal digits: its first 16 characters are the 16 bytes.

    Its last 24 can be changed for another secret of the same runner.
    """
    return str(uuid.UUID(bytes=secret[:16].encode("ascii")))


def labels(slot: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Return the labels with where their jobs run; what a label says itself stays."""
    place = "host" if options["executor"] == "shell" else f"docker://{options['image']}"
    return [label if ":" in label else f"{label}:{place}" for label in slot["labels"]]


def _common(slot: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    home = f"{options['work_dir']}/{slot['name']}"
    environment = {**options.get("environment", {}), **(slot["environment"] if options["executor"] == "shell" else {})}
    in_slice = f"--cgroup-parent {options['slice']} " if options.get("slice") else ""
    return {
        "log": {"level": "info"},
        "runner": {
            "capacity": slot["concurrent"],
            "envs": environment,
            "timeout": options["job_timeout"],
            # As long as the unit waits for it.
            "shutdown_timeout": f"{options['stop_timeout']}s",
            "labels": labels(slot, options),
        },
        "cache": {"enabled": True, "dir": f"{home}/cache"},
        "container": {
            "privileged": False,
            "options": f"{in_slice}--label mlops.onprem.slot={slot['name']} {slot['container_options']}".strip(),
            "valid_volumes": [],
            "docker_host": options["container_host"] if options["executor"] != "shell" else "-",
        },
        "host": {"workdir_parent": f"{home}/builds"},
    }


def forgejo(slot: dict[str, Any], options: dict[str, Any], secret: dict[str, str]) -> dict[str, Any]:
    """Return the configuration of forgejo-runner, with its one connection; no file .runner is needed."""
    found = _common(slot, options)
    connection = {"url": options["url"], "uuid": secret["uuid"], "token": secret["token"]}
    return {**found, "server": {"connections": {"forge": connection}}}


def gitea(slot: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of gitea-runner. Who it is stands in .runner, which `register` writes."""
    home = f"{options['work_dir']}/{slot['name']}"
    found = _common(slot, options)
    found["runner"]["file"] = f"{home}/.runner"
    found["health_check"] = {
        "enabled": True,
        "min_free_disk_space_mb": options["min_free_gb"] * 1000,
        "script": options["health_script"],
        "interval": "60s",
        "timeout": "30s",
    }
    if options.get("job_hook"):
        hooks = {
            "job_started": options["job_hook"] + "-started.sh",
            "job_completed": options["job_hook"] + "-completed.sh",
        }
        found["runner"]["hooks"] = hooks
    return found


def registered(text: str) -> dict[str, str]:
    """Return `id`, `uuid`, `name`, `address` of a .runner file, without its token; empty where it is none."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(data, dict) or not data.get("uuid"):
        return {}
    return {key: str(data.get(key) or "") for key in ("id", "uuid", "name", "address")}


# What YAML 1.1 takes for something else than a text.
_WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")


def yaml(data: Any, depth: int = 0) -> str:
    """Return plain data as YAML, with texts in quotes: no word can be taken for another type."""
    indent = "  " * depth
    text = ""
    for name, value in data.items():
        key = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and name.lower() not in _WORDS else _scalar(name)
        if isinstance(value, dict) and value:
            text += f"{indent}{key}:\n{yaml(value, depth + 1)}"
        elif isinstance(value, list) and value:
            text += f"{indent}{key}:\n" + "".join(f"{indent}  - {_scalar(one)}\n" for one in value)
        else:
            text += f"{indent}{key}: {_scalar(value)}\n"
    return text


def _scalar(value: Any) -> str:
    """JSON is YAML as long as it has ASCII only, and beyond U+FFFF YAML has an escape of its own."""
    return re.sub(r"[^\x20-\x7e]", lambda match: f"\\U{ord(match.group()):08x}", json.dumps(value, ensure_ascii=False))
