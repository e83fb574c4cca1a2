# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that shall be on a host: users, folders, files, units. Pure: from the plan, the options and the secrets to lists."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import (
    act_config,
    buildbot_config,
    github_config,
    gitlab_config,
    units,
)

CONFIG = "/etc/mlops-onprem/ci_runner"
SCRIPTS = "/usr/local/lib/mlops-onprem"
TIMERS = ("mlops-ci-health.timer", "mlops-ci-clean.timer")


def wanted(
    slots: list[dict[str, Any]], options: dict[str, Any], secrets: dict[str, dict[str, str]], scripts: dict[str, str]
) -> dict[str, Any]:
    """Return `users`, `directories`, `files`, `trees`, `registrations` and `units` of all slots at once.

    slots: of the plan. options: those of the role, with `provider` and `program` (the runner's own). secrets: by slot, `id`, `uuid`,
    `token`, `registration`. scripts: texts by the name that they get below SCRIPTS.
    """
    found: dict[str, Any] = {
        "users": [],
        "directories": [
            {"path": CONFIG, "mode": "0755"},
            {"path": SCRIPTS, "mode": "0755"},
            {"path": options["work_dir"], "mode": "0755"},
        ],
        "files": [],
        "trees": [],
        "registrations": [],
        "units": [],
    }
    for name, text in scripts.items():
        found["files"].append({"path": f"{SCRIPTS}/{name}", "content": text, "mode": "0755"})
    if options.get("ca_text"):
        found["files"].append({"path": f"{CONFIG}/ca.pem", "content": options["ca_text"], "mode": "0644"})
    found["files"].append({"path": f"{CONFIG}/slots.json", "content": _facts(slots, options), "mode": "0644"})
    for slot in slots:
        _slot(found, slot, options, secrets.get(slot["name"], {}))
    texts = {units.SLICE: units.bounds(options)}
    texts.update(
        units.timer(
            "mlops-ci-health",
            "Health of the CI slots",
            "OnBootSec=1min\nOnUnitActiveSec=1min",
            f"{SCRIPTS}/ci-health.py --all",
        )
    )
    texts.update(
        units.timer(
            "mlops-ci-clean",
            "Old work of the CI slots",
            "OnCalendar=daily\nRandomizedDelaySec=1h",
            f"{SCRIPTS}/ci-clean.py",
        )
    )
    found["files"] += [
        {"path": f"{units.UNITS}/{name}", "content": text, "mode": "0644"} for name, text in texts.items()
    ]
    found["units"] += [{"name": name, "reads": [], "record": ""} for name in TIMERS]
    return found


def _facts(slots: list[dict[str, Any]], options: dict[str, Any]) -> str:
    """What the scripts and other roles know of the slots."""
    keys = ("min_free_gb", "clean_days", "work_dir", "provider", "executor")
    data = {
        **{key: options[key] for key in keys},
        "container_command": options.get("container_command", ""),
        "slots": {slot["name"]: {"runner": slot["runner"], "devices": slot["devices"]} for slot in slots},
    }
    return json.dumps(data, indent=1, sort_keys=True) + "\n"


def _slot(found: dict[str, Any], slot: dict[str, Any], options: dict[str, Any], secret: dict[str, str]) -> None:
    name, provider = slot["name"], options["provider"]
    user, home = units.user(name), f"{options['work_dir']}/{name}"
    mine = {"owner": user, "group": user}
    found["users"].append({"name": user, "home": home, "groups": options.get("groups", [])})
    found["directories"] += [
        {"path": path, "mode": "0700", **mine} for path in (home, f"{home}/builds", f"{home}/cache")
    ]

    def file(path: str, content: str, **more: Any) -> None:
        found["files"].append({"path": path, "content": content, "mode": "0600", **mine, **more})

    program, reads = options["program"], []
    if provider == "gitlab":
        document = gitlab_config.document(slot, options, secret)
        # Read anew by the runner itself: a restart would do no more than wait for a job.
        file(f"{home}/config.toml", json.dumps(document), merge="gitlab", secret=True)
        command = f"{program} run --config {home}/config.toml --working-directory {home}"
    elif provider == "forgejo":
        file(f"{home}/config.yml", act_config.yaml(act_config.forgejo(slot, options, secret)), secret=True)
        command, reads = f"{program} daemon -c {home}/config.yml", [f"{home}/config.yml"]
    elif provider == "gitea":
        file(f"{home}/config.yaml", act_config.yaml(act_config.gitea(slot, options)))
        command, reads = f"{program} daemon -c {home}/config.yaml", [f"{home}/config.yaml"]
        argv = [
            program,
            "register",
            "--config",
            f"{home}/config.yaml",
            "--no-interactive",
            "--instance",
            options["url"],
            "--name",
            slot["runner"],
        ]
        argv += ["--labels", ",".join(act_config.labels(slot, options))]
        _registration(found, slot, secret, argv, {}, "GITEA_RUNNER_REGISTRATION_TOKEN", [".runner"])
    elif provider == "github":
        found["trees"].append({"source": program, "path": home, "version": options["installed"], **mine})
        file(f"{home}/.env", github_config.env(slot, options))
        file(f"{home}/.path", github_config.path(options))
        command, reads = f"{home}/runsvc.sh", [f"{home}/.env", f"{home}/.path"]
        inputs = github_config.inputs(slot, options)
        left = [".runner", ".credentials", ".credentials_rsaparams"]
        _registration(found, slot, secret, [f"{home}/config.sh"], inputs, "ACTIONS_RUNNER_INPUT_TOKEN", left)
    else:
        file(f"{home}/buildbot.tac", buildbot_config.tac(slot, options, secret), secret=True)
        command, reads = f"{program} --nodaemon --pidfile= --python buildbot.tac", [f"{home}/buildbot.tac"]
    found["files"].append(
        {
            "path": f"{units.UNITS}/{units.unit(name)}",
            "content": units.service(slot, options, command, reads),
            "mode": "0644",
        }
    )
    record = f"{units.RECORDS}/{units.unit(name)}.sha256"
    found["units"].append(
        {"name": units.unit(name), "reads": [f"{units.UNITS}/{units.unit(name)}", *reads], "record": record}
    )


def _registration(
    found: dict[str, Any],
    slot: dict[str, Any],
    secret: dict[str, str],
    argv: list[str],
    inputs: dict[str, str],
    variable: str,
    left: list[str],
) -> None:
    """Note that a host registers itself. left: what an earlier registration left, which goes before."""
    if secret.get("registration"):
        user = units.user(slot["name"])
        home = found["users"][-1]["home"]
        environment = {**inputs, "HOME": home, variable: secret["registration"]}
        found["registrations"].append(
            {"slot": slot["name"], "user": user, "home": home, "argv": argv, "environment": environment, "left": left}
        )


def unwanted(options: dict[str, Any]) -> dict[str, Any]:
    """Return what `absent` takes off a host, beside the slots: what all of them shared. The program goes, caches and work go with the slots."""
    empty: dict[str, Any] = {key: [] for key in ("users", "directories", "files", "trees", "registrations", "units")}
    names = [units.SLICE, *TIMERS, *(name.replace(".timer", ".service") for name in TIMERS)]
    scripts = [f"{SCRIPTS}/{name}" for name in options["scripts"]]
    removed = [*(f"{units.UNITS}/{name}" for name in names), *scripts, CONFIG, options["app_dir"]]
    return {**empty, "stopped": list(TIMERS), "removed": removed, "emptied": [options["work_dir"]]}
