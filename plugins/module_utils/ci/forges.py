# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file speaks to which forge."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import buildbot, forgejo, gitea, github, gitlab
from ansible_collections.mlops.onprem.plugins.module_utils.ci.http import Http
from ansible_collections.mlops.onprem.plugins.module_utils.ci.providers import RULES
from ansible_collections.mlops.onprem.plugins.module_utils.ci.registration import Forge

_CLASSES: dict[str, Any] = {
    "gitlab": (gitlab.GitLab, gitlab.RIGHTS),
    "github": (github.GitHub, github.RIGHTS),
    "forgejo": (forgejo.Forgejo, forgejo.RIGHTS),
    "gitea": (gitea.Gitea, gitea.RIGHTS),
    "buildbot": (buildbot.Buildbot, buildbot.RIGHTS),
}


def forge(provider: str, url: str, scope: str, token: str, **http: Any) -> Forge:
    """Return what speaks to a forge. `http`: further arguments of Http, such as `ca` and `timeout`."""
    kind, rights = _CLASSES[provider]
    if provider == "github" and url.rstrip("/") == "https://github.com":
        url = "https://api.github.com"
    made: Forge = kind(Http(RULES[provider]["title"], url, kind.headers(token), rights=rights, **http), scope)
    return made
