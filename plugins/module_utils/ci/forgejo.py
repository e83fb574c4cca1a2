# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forgejo's API of runners, as of Forgejo 15.

Source: Forgejo's own API description (as in the client @llamaduck/forgejo-ts 15.0.9). Names are not unique: a runner is known by its
UUID. There is no pause: a runner is drained by its own end, which waits for its job.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import act
from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted

RIGHTS = "a token that may write to admin, organization, repository or user, whichever ci_runner_scope is"


class Forgejo:
    on_host = False
    headers = staticmethod(act.headers)

    def __init__(self, http: Http, scope: str) -> None:
        self._http, self._path = http, act.path(scope)

    def list(self) -> list[Runner]:
        return [_runner(entry) for entry in self._http.pages(self._path, "limit", 50)]

    def details(self, runner: Runner) -> Runner:
        return runner

    def create(self, wanted: Wanted) -> Made:
        body = {"name": wanted.name, "description": "managed by mlops.onprem", "ephemeral": False}
        made = self._http.call("POST", self._path, body).data
        return Made(id=str(made["id"]), uuid=made["uuid"], token=made["token"])

    def differences(self, _runner_found: Runner, _wanted: Wanted) -> dict[str, Any]:
        """Return nothing: labels are declared by the runner itself at its start."""
        return {}

    def change(self, runner: Runner, body: dict[str, Any]) -> None:
        """Nothing can be changed in place."""

    def pause(self, runner: Runner, paused: bool) -> None:
        """There is no pause."""

    def busy(self, runner: Runner) -> bool:
        return bool(_runner(self._http.call("GET", f"{self._path}/{runner.id}").data).busy)

    def delete(self, runner: Runner) -> None:
        self._http.call("DELETE", f"{self._path}/{runner.id}")


def _runner(entry: dict[str, Any]) -> Runner:
    return Runner(
        id=str(entry["id"]),
        name=entry["name"],
        uuid=entry["uuid"],
        status=entry["status"],
        online=entry["status"] in ("idle", "active"),
        busy=entry["status"] == "active",
        labels=list(entry.get("labels") or []),
    )
