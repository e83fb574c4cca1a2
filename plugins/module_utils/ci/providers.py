# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each forge allows, as data: labels, names, executors, and whom a runner belongs to.

Sources: the documentation of GitLab Runner 19.3, GitHub's runner 2.336, Gitea 1.27, Forgejo 15 and Buildbot 4.3, as of 2026-08. Lengths
are of the servers' own database columns. The documentation does not say all characters that a server refuses: `label` is what all of it
agrees on, and the role's `ci_runner_limits` overrides any of this.
"""

from __future__ import annotations

from typing import Any

NAMES = ("gitlab", "github", "forgejo", "gitea", "buildbot")

# A label of the act family may say where its jobs run: `gpu:docker://image`, `gpu:host`.
_ACT_LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]*(:host|:docker://[^\s,]+|:lxc://[^\s,]+)?"
_ACT_SAYS = (
    "letters, digits, dots, dashes and underscores, then nothing, :host, :docker://IMAGE or :lxc://TEMPLATE "
    "(commas and spaces separate labels)"
)
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]*"

# label, says: what a label looks like, as a pattern and in words. Lengths in characters. executors: who runs a job's commands.
# scopes: whom a runner belongs to, as the pattern of `ci_runner_scope`.
RULES: dict[str, dict[str, Any]] = {
    "gitlab": {
        "title": "GitLab",
        "label": r"[^\s,]([^,\n\r]*[^\s,])?",
        "says": "any characters but commas and line breaks, without spaces at its ends",
        "label_length": 255,
        "name_length": 255,
        "executors": ("docker", "podman", "shell"),
        "scopes": r"instance|group:[0-9]+|project:[0-9]+",
        "scope_says": "instance, group:NUMBER or project:NUMBER",
    },
    "github": {
        "title": "GitHub",
        "label": r"[A-Za-z0-9_][A-Za-z0-9._-]*",
        "says": "letters, digits, dots, dashes and underscores (commas separate labels)",
        "label_length": 256,
        "name_length": 64,
        "executors": ("shell",),
        "scopes": rf"repo:{_WORD}/{_WORD}|org:{_WORD}|enterprise:{_WORD}",
        "scope_says": "repo:OWNER/NAME, org:NAME or enterprise:NAME",
    },
    "forgejo": {
        "title": "Forgejo",
        "label": _ACT_LABEL,
        "says": _ACT_SAYS,
        "label_length": 255,
        "name_length": 255,
        "executors": ("docker", "podman", "shell"),
        "scopes": rf"instance|org:{_WORD}|repo:{_WORD}/{_WORD}|user",
        "scope_says": "instance, org:NAME, repo:OWNER/NAME or user",
    },
    "gitea": {
        "title": "Gitea",
        "label": _ACT_LABEL,
        "says": _ACT_SAYS,
        "label_length": 255,
        "name_length": 255,
        "executors": ("docker", "podman", "shell"),
        "scopes": rf"instance|org:{_WORD}|repo:{_WORD}/{_WORD}|user",
        "scope_says": "instance, org:NAME, repo:OWNER/NAME or user",
    },
    "buildbot": {
        "title": "Buildbot",
        "label": _WORD,
        "says": "letters, digits, dots, dashes and underscores",
        "label_length": 255,
        "name_length": 50,
        "executors": ("shell",),
        "scopes": "instance",
        "scope_says": "instance",
    },
}


def rules(provider: str, limits: dict[str, Any]) -> dict[str, Any]:
    """Return the rules of a provider, with what a site knows better; `limits` has keys of RULES."""
    return {**RULES[provider], **{key: value for key, value in limits.items() if value is not None}}
