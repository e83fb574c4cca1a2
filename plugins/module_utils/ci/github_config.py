# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GitHub's runner reads and leaves in its folder.

Source: the runner 2.336: `.runner` (JSON, with a byte order mark), `.env` (lines NAME=VALUE for the runner and its jobs), `.path` (one line).
"""

from __future__ import annotations

import json
from typing import Any


def registered(text: str) -> dict[str, str]:
    """Return `id`, `name`, `url` of a .runner file; empty where it is none."""
    try:
        data = json.loads(text.lstrip("\ufeff"))
    except ValueError:
        return {}
    if not isinstance(data, dict) or not data.get("agentId"):
        return {}
    return {
        "id": str(data["agentId"]),
        "name": str(data.get("agentName") or ""),
        "url": str(data.get("gitHubUrl") or ""),
    }


def scope_url(url: str, scope: str) -> str:
    """Return the address that `config.sh --url` wants: of the repository, organization or enterprise."""
    kind, _colon, name = scope.partition(":")
    return f"{url.rstrip('/')}/{'enterprises/' if kind == 'enterprise' else ''}{name}"


def env(slot: dict[str, Any], options: dict[str, Any]) -> str:
    """Return the text of .env: devices, proxy, CA, and the hooks around each job."""
    found = {**options.get("environment", {}), **slot["environment"]}
    # Without it, a runner that GitHub gives no jobs any more ends as if all were well.
    found["ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"] = "1"
    if options.get("job_hook"):
        found["ACTIONS_RUNNER_HOOK_JOB_STARTED"] = options["job_hook"] + "-started.sh"
        found["ACTIONS_RUNNER_HOOK_JOB_COMPLETED"] = options["job_hook"] + "-completed.sh"
    if options.get("ca_file"):
        found["NODE_EXTRA_CA_CERTS"] = options["ca_file"]
        found["SSL_CERT_FILE"] = options["trust_store"]
    found["LANG"] = "C.UTF-8"
    return "".join(f"{key}={value}\n" for key, value in sorted(found.items()))


def path(options: dict[str, Any]) -> str:
    """Return the text of .path, the PATH of jobs."""
    return str(options.get("path") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") + "\n"


def inputs(slot: dict[str, Any], options: dict[str, Any]) -> dict[str, str]:
    """Return what config.sh is asked with, as variables: every option can be one, and no token is on a command line."""
    found = {
        "ACTIONS_RUNNER_INPUT_UNATTENDED": "true",
        "ACTIONS_RUNNER_INPUT_URL": scope_url(options["url"], options["scope"]),
        "ACTIONS_RUNNER_INPUT_NAME": slot["runner"],
        "ACTIONS_RUNNER_INPUT_WORK": "builds",
        "ACTIONS_RUNNER_INPUT_DISABLEUPDATE": "true",
        "ACTIONS_RUNNER_INPUT_REPLACE": "true" if options.get("recreate") else "",
        "ACTIONS_RUNNER_INPUT_RUNNERGROUP": options.get("group", ""),
        "ACTIONS_RUNNER_INPUT_LABELS": ",".join(slot["labels"]),
    }
    return {key: value for key, value in found.items() if value}
