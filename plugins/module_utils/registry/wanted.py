# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who shall be able to do what in the registry, in one shape.

MLflow 3 keeps rights in roles only. A grant for a single user therefore becomes a role of that user. MLflow has one of its own for
each user, in which it notes who made what: that one is never touched, or a purge would take people their own models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# What a right can be about, and whether it can be about a single one; all of a kind is "*".
SINGLE = ("experiment", "registered_model", "prompt", "scorer")
ALL_ONLY = (
    "run",
    "trace",
    "assessment",
    "logged_model",
    "review_queue",
    "registered_model_version",
    "prompt_version",
    "scorer_version",
)
TYPES = SINGLE + ALL_ONLY
PERMISSIONS = ("READ", "USE", "EDIT", "MANAGE", "DENY")
# No name of a role may have a colon, so that the two never meet.
_PERSONAL = "user:"

# (type, resource): the name of a model, of an experiment, or "*".
Subject = tuple[str, str]


@dataclass(frozen=True)
class User:
    """A user that shall be there."""

    admin: bool = False
    roles: frozenset[str] = frozenset()
    update_password: bool = True


@dataclass
class Role:
    """A role that shall be there. `description` is None where nothing is said about it."""

    description: str | None = None
    permissions: dict[Subject, str] = field(default_factory=dict)


@dataclass
class Wanted:
    """All of it. `absent` are users that shall not be there."""

    users: dict[str, User] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    roles: dict[str, Role] = field(default_factory=dict)


def personal(user: str) -> str:
    """Return the name of the role that holds the grants of one user."""
    return _PERSONAL + user


def subject(entry: dict[str, Any]) -> Subject:
    """Return what a permission or grant is about."""
    return entry.get("type") or "registered_model", str(entry["resource"])


def stays(user: dict[str, Any]) -> bool:
    """Say whether an entry of the users shall be there."""
    return (user.get("state") or "present") == "present"


def present(users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the users that shall be there."""
    return [user for user in users if stays(user)]


def gather(users: list[dict[str, Any]], roles: list[dict[str, Any]], grants: list[dict[str, Any]]) -> Wanted:
    """Return the three lists of the role model_registry as one; they must have no problems."""
    wanted = Wanted(absent={user["name"] for user in users if not stays(user)})
    for role in roles:
        permissions = {subject(entry): entry["permission"] for entry in role.get("permissions") or []}
        wanted.roles[role["name"]] = Role(role.get("description"), permissions)
    for grant in grants:
        name = grant.get("role") or personal(grant["user"])
        wanted.roles.setdefault(name, Role()).permissions[subject(grant)] = grant["permission"]
    for user in present(users):
        names = set(user.get("roles") or [])
        if personal(user["name"]) in wanted.roles:
            names.add(personal(user["name"]))
        wanted.users[user["name"]] = User(
            bool(user.get("admin")), frozenset(names), (user.get("update_password") or "always") == "always"
        )
    return wanted
