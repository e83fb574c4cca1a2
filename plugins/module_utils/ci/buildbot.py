# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The REST of a Buildbot master, version 2 of its API (Buildbot 4.3): who its workers are. They are made by its configuration only.

Source: Buildbot's documentation, "REST API" and the endpoint "workers". `configured_on` is empty for what is left of a worker in the
database only; `connected_to` says whether one is connected.
"""

from __future__ import annotations

import base64
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.problem import Problem
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted

RIGHTS = "USER:PASSWORD of somebody who may see and control workers"
_API = "/api/v2"


class Buildbot:
    on_host = False

    def __init__(self, http: Http, _scope: str) -> None:
        self._http = http

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """`token` is USER:PASSWORD for the proxy before the master; empty for a master that shows its workers to everybody."""
        return {"Authorization": "Basic " + base64.b64encode(token.encode()).decode()} if token else {}

    def list(self) -> list[Runner]:
        answer = self._http.call("GET", f"{_API}/workers").data
        workers = answer.get("workers") if isinstance(answer, dict) else None
        return [_runner(entry) for entry in workers or [] if entry.get("configured_on")]

    def details(self, runner: Runner) -> Runner:
        return runner

    def create(self, wanted: Wanted) -> Made:
        raise Problem(
            "missing",
            0,
            "Buildbot",
            f"the worker {wanted.name}",
            "its master does not know it",
            "Workers are made by the master's configuration: add its name and password there (role ci_server: ci_server_workers), then run "
            "this again",
        )

    def differences(self, runner: Runner, _wanted: Wanted) -> dict[str, Any]:
        return {"method": "unpause"} if runner.paused else {}

    def change(self, runner: Runner, body: dict[str, Any]) -> None:
        self._control(runner, body["method"])

    def pause(self, runner: Runner, paused: bool) -> None:
        self._control(runner, "pause" if paused else "unpause")

    def busy(self, runner: Runner) -> bool:
        query = {"workerid": runner.id, "complete": "false", "limit": 1}
        return bool(self._http.call("GET", f"{_API}/builds", query=query).data.get("builds"))

    def delete(self, runner: Runner) -> None:
        """Nothing: the worker goes with its entry in the master's configuration."""

    def _control(self, runner: Runner, method: str) -> None:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"reason": "mlops.onprem"}}
        self._http.call("POST", f"{_API}/workers/{runner.id}", body)


def _runner(entry: dict[str, Any]) -> Runner:
    online = bool(entry.get("connected_to"))
    return Runner(
        id=str(entry["workerid"]),
        name=entry["name"],
        status="connected" if online else "not connected",
        online=online,
        paused=bool(entry.get("paused")),
    )
