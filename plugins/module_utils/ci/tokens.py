# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of the wrong kind, told by how they begin. No sentence ever has a token in it.

Source of the beginnings: GitLab's overview of tokens (18 and 19) and GitHub's page on token formats.
"""

from __future__ import annotations

import re

# What GitLab's registration tokens begin with since 14.8; the forge removes the whole flow in 20.0.
_GITLAB_REGISTRATION = "GR1348941"
_GITLAB_RUNNER = "glrt-"
# A registration token of GitHub: 29 capital letters and digits, the first one an A.
_GITHUB_REGISTRATION = re.compile(r"A[A-Z0-9]{28}")

_NEW_RUNNER = (
    "Create a runner instead (Admin, group or project: CI/CD, Runners, New runner; or POST /api/v4/user/runners) and give its "
    "authentication token, which begins with glrt-; or give an access token with the scopes create_runner and manage_runner as "
    "ci_runner_api_token, and the role creates the runner"
)


def api_problem(provider: str, token: str) -> str:
    """Return what is wrong with the token that the API is asked with; empty where nothing is known to be."""
    if not token:
        return ""
    if token != token.strip() or "\n" in token:
        return "ci_runner_api_token has a space or a line break at an end: give it without"
    if provider == "gitlab" and token.startswith(_GITLAB_REGISTRATION):
        return f"ci_runner_api_token is a registration token, which GitLab removes in 20.0. {_NEW_RUNNER}"
    if provider == "gitlab" and token.startswith(_GITLAB_RUNNER):
        return (
            "ci_runner_api_token is the token of a runner (glrt-), and the API wants an access token (glpat-) with the scopes "
            "create_runner and manage_runner. A runner's own token is given as the key token of its slot"
        )
    if provider == "github" and _GITHUB_REGISTRATION.fullmatch(token):
        return (
            "ci_runner_api_token is a registration token, which lasts for an hour. Give a token that can make such ones: a "
            "fine-grained access token with the permission to administer (repository) or for self-hosted runners (organization), "
            "or an installation token of an app"
        )
    return ""


def runner_problem(provider: str, where: str, token: str) -> str:
    """Return what is wrong with the token that is given for one slot; `where` names the slot."""
    if provider == "gitlab" and not token.startswith(_GITLAB_RUNNER):
        kind = "a registration token, which GitLab removes in 20.0" if token.startswith(_GITLAB_REGISTRATION) else ""
        return f"{where}: its token is {kind or 'no token of a runner'}. {_NEW_RUNNER}"
    if provider == "forgejo" and not re.fullmatch(r"[0-9a-f]{40}", token):
        return f"{where}: its token must be the 40 hexadecimal digits that Forgejo shows once, or a secret of that form"
    if provider in ("github", "gitea"):
        title = {"github": "GitHub", "gitea": "Gitea"}[provider]
        return f"{where}: runners of {title} have no token that could be given; give ci_runner_api_token"
    return ""
