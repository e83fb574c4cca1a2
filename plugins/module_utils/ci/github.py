# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GitHub's API of self-hosted runners, version 2022-11-28, at github.com and at a GitHub Enterprise Server.

Source: GitHub's REST documentation, "Self-hosted runners". The runner on the host registers itself with a token that lasts for an hour;
nothing that it gets is shown here. There is no pause: a runner is drained by taking its own labels away, so that no job finds it.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted

RIGHTS = (
    "for a repository the permission Administration (write), for an organization Self-hosted runners (write), for an enterprise the scope "
    "manage_runners:enterprise"
)
# On a runner from the start, and never removed.
_OWN_LABELS = ("self-hosted", "linux", "x64", "arm64")


class GitHub:
    on_host = True

    def __init__(self, http: Http, scope: str) -> None:
        self._http = http
        kind, _colon, name = scope.partition(":")
        # A server of one's own has its API below /api/v3; github.com has a host for it.
        root = "" if "//api." in http.url else "/api/v3"
        self._path = (
            f"{root}/{ {'repo': 'repos', 'org': 'orgs', 'enterprise': 'enterprises'}[kind] }/{name}/actions/runners"
        )

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def list(self) -> list[Runner]:
        return [_runner(entry) for entry in self._http.pages(self._path, "per_page", 100, "runners")]

    def details(self, runner: Runner) -> Runner:
        return runner

    def create(self, _wanted: Wanted) -> Made:
        return Made(registration=self._http.call("POST", f"{self._path}/registration-token").data["token"])

    def differences(self, runner: Runner, wanted: Wanted) -> dict[str, Any]:
        """Return the labels where they differ; those that GitHub gives each runner are not ours."""
        own = [label for label in runner.labels or [] if label.lower() not in _OWN_LABELS]
        ours = [label for label in wanted.labels if label.lower() not in _OWN_LABELS]
        # GitHub compares labels without regard to case.
        return {} if sorted(map(str.lower, own)) == sorted(map(str.lower, ours)) else {"labels": ours}

    def change(self, runner: Runner, body: dict[str, Any]) -> None:
        self._http.call("PUT", f"{self._path}/{runner.id}/labels", body)

    def pause(self, runner: Runner, paused: bool) -> None:
        if paused:
            self.change(runner, {"labels": []})

    def busy(self, runner: Runner) -> bool:
        return bool(_runner(self._http.call("GET", f"{self._path}/{runner.id}").data).busy)

    def delete(self, runner: Runner) -> None:
        self._http.call("DELETE", f"{self._path}/{runner.id}")


def _runner(entry: dict[str, Any]) -> Runner:
    return Runner(
        id=str(entry["id"]),
        name=entry["name"],
        status=entry["status"],
        online=entry["status"] == "online",
        busy=entry["busy"],
        labels=[label["name"] for label in entry["labels"]],
    )
