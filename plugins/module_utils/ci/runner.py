# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runner as a forge tells of it, and one as it is wished. The same for all forges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Runner:
    """`busy`, `paused` and `labels` are None where the list does not tell. `more` is what else can be changed in place."""

    id: str
    name: str
    uuid: str = ""
    status: str = ""
    online: bool = False
    busy: bool | None = None
    paused: bool | None = None
    labels: list[str] | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Wanted:
    """One slot's runner.

    known: `id` or `uuid` of an earlier run, `token` where the runner has one. registered: whether the host has been registered, for
    forges whose runner does that itself. more: GitLab's `run_untagged`, `locked`, `access_level`, `maximum_timeout`.
    """

    name: str
    labels: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    registered: bool = False
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Made:
    """What a creation returned: shown once, never again. registration: a token that lasts for an hour, for the host."""

    id: str = ""
    uuid: str = ""
    token: str = ""
    registration: str = ""
