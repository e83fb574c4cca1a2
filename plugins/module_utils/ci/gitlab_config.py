# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GitLab Runner's config.toml: what is wished, brought together with what the runner itself has written there.

Source: GitLab's documentation, "Advanced configuration", and runner 19.3. The runner writes the whole file anew when it registers or
rotates its token, with the zero value of what was not set: a file is as wished when all that is wished is in it and the rest is zero.
`id`, `token`, `token_obtained_at` and `token_expires_at` are the runner's, as long as it is the same runner.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import toml

OWN = ("id", "token", "token_obtained_at", "token_expires_at")
# Year 1: Go's zero value of a time.
_ZERO = toml.Stamp("0001-01-01T00:00:00Z")


def merge(found: str, wanted: dict[str, Any]) -> str:
    """Return the text of the file; `found` itself where that is as wished.

    found: the file's text, empty where there is none. wanted: the document, with one entry in `runners`. Unreadable where `found` is no
    TOML: then nothing may be written.
    """
    if not found.strip():
        return toml.dumps(wanted)
    there = toml.loads(found)
    ours = wanted["runners"][0]
    sections = [one for one in there.get("runners") or [] if isinstance(one, dict)]
    mine = next((one for one in sections if _same(one, ours)), None)
    # One of our name that is another runner is what was deleted on the server: its token is good for nothing.
    others = [one for one in sections if one is not mine and one.get("name") != ours["name"]]
    kept = {key: mine[key] for key in OWN if key in mine} if mine else {}
    # The token is the runner's own from the start on: it may be rotated by now.
    merged = {**wanted, "runners": [{**ours, **kept}, *others]}
    if mine is not None and _covers(
        there, {key: value for key, value in wanted.items() if key != "runners"}, ("runners",)
    ):
        plain = {key: value for key, value in ours.items() if key not in OWN}
        if _covers(mine, plain, OWN):
            return found
    return toml.dumps(merged)


def _same(section: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether a section is of the runner that is meant: by number, or by token where one of them has none."""
    if section.get("id") and ours.get("id"):
        return bool(section["id"] == ours["id"])
    return section.get("token") == ours.get("token")


def _covers(found: dict[str, Any], wanted: dict[str, Any], but: tuple[str, ...] = ()) -> bool:
    """Whether all that is wished is there, and whatever else is there says nothing."""
    for key, value in wanted.items():
        if isinstance(value, dict):
            inner = found.get(key, {})
            if not isinstance(inner, dict) or not _covers(inner, value):
                return False
        elif found.get(key, _zero_of(value)) != value:
            return False
    return all(key in wanted or key in but or _empty(value) for key, value in found.items())


def _empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_empty(one) for one in value.values())
    return value in (0, "", False, [], _ZERO)


def _zero_of(value: Any) -> Any:
    """Return what a missing key means."""
    if isinstance(value, bool):
        return False
    return {int: 0, str: "", list: []}.get(type(value))


def document(slot: dict[str, Any], options: dict[str, Any], secret: dict[str, str]) -> dict[str, Any]:
    """Return what is wished for one slot.

    slot: as the plan has it. options: `url`, `executor`, `work_dir`, `ca_file`, `image`, `pull_policy`, `cache`, `environment`,
    `container` (further keys of [runners.docker]), `slice`. secret: `id` and `token`.
    """
    home = f"{options['work_dir']}/{slot['name']}"
    runner: dict[str, Any] = {
        "name": slot["runner"],
        "url": options["url"],
        "token": secret["token"],
        "executor": "docker" if options["executor"] == "podman" else options["executor"],
        "limit": slot["concurrent"],
        # As many calls for jobs at once as there may be jobs: a single one would hold the others up.
        "request_concurrency": slot["concurrent"],
        "builds_dir": f"{home}/builds" if options["executor"] == "shell" else "/builds",
        "cache_dir": f"{home}/cache" if options["executor"] == "shell" else "/cache",
    }
    if secret.get("id"):
        runner["id"] = int(secret["id"])
    environment = {**options.get("environment", {}), **(slot["environment"] if options["executor"] == "shell" else {})}
    if environment:
        runner["environment"] = [f"{key}={value}" for key, value in sorted(environment.items())]
    if options.get("ca_file"):
        runner["tls-ca-file"] = options["ca_file"]
    if options["executor"] == "shell":
        runner["shell"] = "bash"
        if options.get("job_hook"):
            runner["pre_get_sources_script"] = f"{options['job_hook']}-started.sh"
            runner["post_build_script"] = f"{options['job_hook']}-completed.sh"
    else:
        runner["docker"] = _docker(slot, options, home)
    if options.get("cache"):
        runner["cache"] = _cache(options["cache"])
    return {
        "concurrent": slot["concurrent"],
        "check_interval": 3,
        "shutdown_timeout": options["stop_timeout"],
        "runners": [runner],
    }


def _docker(slot: dict[str, Any], options: dict[str, Any], home: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "image": options["image"],
        "privileged": False,
        "pull_policy": [options["pull_policy"]],
        "volumes": [f"{home}/cache:/cache"],
        "container_labels": {"mlops.onprem.slot": slot["name"]},
    }
    if slot["gitlab_gpus"]:
        found["gpus"] = slot["gitlab_gpus"]
    if options.get("slice"):
        # Containers are children of the engine, not of the unit: the limits of the slice reach them by this.
        found["cgroup_parent"] = options["slice"]
    if options["executor"] == "podman":
        found["host"] = options["container_host"]
    return {**found, **options.get("container", {})}


def _cache(cache: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "s3",
        "Path": cache.get("path", ""),
        "Shared": True,
        "s3": {
            "ServerAddress": cache["server"],
            "AccessKey": cache["access_key"],
            "SecretKey": cache["secret_key"],
            "BucketName": cache["bucket"],
            "BucketLocation": cache.get("region", "us-east-1"),
            # Buckets as names of hosts are of Amazon's own service.
            "PathStyle": cache.get("path_style", True),
        },
    }
