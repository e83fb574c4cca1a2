# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where runners are in the API that Forgejo and Gitea have in common."""

from __future__ import annotations


def path(scope: str) -> str:
    """Return the path of the runners of a scope: `instance`, `org:NAME`, `repo:OWNER/NAME`, `user`."""
    kind, _colon, name = scope.partition(":")
    owner = {"instance": "admin", "org": f"orgs/{name}", "repo": f"repos/{name}", "user": "user"}[kind]
    return f"/api/v1/{owner}/actions/runners"


def headers(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"} if token else {}
