# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GitLab's API of runners, version 4, as of GitLab 18 and 19.

Source: GitLab's documentation, pages "Runners API" and "Create a runner linked to a user". A runner's name is its `description`. Tags and
the rest are of the server only: the host's file has none of them. `unregister` on the host would remove the manager only, so a runner is
deleted here.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.problem import Problem
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted

RIGHTS = "an access token with the scopes create_runner and manage_runner, and api for the list, of somebody who owns that scope"
_API = "/api/v4"
# What can be changed in place, by PUT; each with the same name in what GET tells.
_IN_PLACE = ("run_untagged", "locked", "access_level", "maximum_timeout")


class GitLab:
    on_host = False

    def __init__(self, http: Http, scope: str) -> None:
        self._http = http
        kind, _colon, self._number = scope.partition(":")
        self._type = f"{kind}_type"
        self._kind = kind

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {"PRIVATE-TOKEN": token} if token else {}

    def list(self) -> list[Runner]:
        path = {
            "instance": "/runners/all",
            "group": f"/groups/{self._number}/runners",
            "project": f"/projects/{self._number}/runners",
        }
        entries = self._http.pages(_API + path[self._kind], "per_page", 100, query={"type": self._type})
        return [_runner(entry) for entry in entries]

    def details(self, runner: Runner) -> Runner:
        """Return the runner with its tags and all that the list leaves out."""
        return _runner(self._http.call("GET", f"{_API}/runners/{runner.id}").data)

    def create(self, wanted: Wanted) -> Made:
        body: dict[str, Any] = {
            "runner_type": self._type,
            "description": wanted.name,
            "tag_list": ",".join(wanted.labels),
        }
        if self._number:
            body[f"{self._kind}_id"] = int(self._number)
        body.update({key: value for key, value in wanted.more.items() if value is not None})
        made = self._http.call("POST", f"{_API}/user/runners", body).data
        return Made(id=str(made["id"]), token=made["token"])

    def differences(self, runner: Runner, wanted: Wanted) -> dict[str, Any]:
        """Return what has to be changed in place, as the body of the call."""
        body = {
            key: value
            for key, value in wanted.more.items()
            if key in _IN_PLACE and value is not None and runner.more.get(key) != value
        }
        if sorted(runner.labels or []) != sorted(wanted.labels):
            body["tag_list"] = ",".join(wanted.labels)
        if runner.name != wanted.name:
            body["description"] = wanted.name
        return body

    def change(self, runner: Runner, body: dict[str, Any]) -> None:
        self._http.call("PUT", f"{_API}/runners/{runner.id}", body)

    def pause(self, runner: Runner, paused: bool) -> None:
        self.change(runner, {"paused": paused})

    def busy(self, runner: Runner) -> bool:
        jobs = self._http.call(
            "GET", f"{_API}/runners/{runner.id}/jobs", query={"status": "running", "per_page": 1}
        ).data
        return bool(jobs)

    def delete(self, runner: Runner) -> None:
        self._http.call("DELETE", f"{_API}/runners/{runner.id}")

    def accepts(self, token: str) -> bool:
        """Say whether a runner's token is one; needs no login."""
        try:
            self._http.call("POST", f"{_API}/runners/verify", {"token": token})
        except Problem as problem:
            if problem.status in (403, 404):
                return False
            raise
        return True


def _runner(entry: dict[str, Any]) -> Runner:
    return Runner(
        id=str(entry["id"]),
        name=str(entry.get("description") or ""),
        status=str(entry.get("status") or ""),
        # `online` is null for one that never asked for jobs.
        online=entry.get("status") == "online",
        paused=entry.get("paused"),
        labels=entry.get("tag_list"),
        more={key: entry.get(key) for key in _IN_PLACE},
    )
