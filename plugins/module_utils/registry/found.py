# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the registry and what they may do, as its answers say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.registry.wanted import Subject

# MLflow's own role of each user: not ours.
_OWN = "__user_"
_WORKSPACE = "default"


@dataclass
class User:
    admin: bool
    roles: set[str]


@dataclass
class Role:
    """`permissions` has the number of each entry, by which it is changed and removed."""

    number: int
    description: str
    permissions: dict[Subject, tuple[int, str]]


@dataclass
class Found:
    """`other_password`: users whose password is not the wanted one. `experiments`: number by name, of those that exist."""

    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    other_password: set[str] = field(default_factory=set)
    experiments: dict[str, str] = field(default_factory=dict)


def read(users: dict[str, Any], roles: dict[str, Any]) -> Found:
    """Return what the answers to `users/list` and `roles/list` say."""
    found = Found()
    for entry in roles["roles"]:
        if _ours(entry):
            permissions = {
                (item["resource_type"], item["resource_pattern"]): (int(item["id"]), str(item["permission"]))
                for item in entry["permissions"]
            }
            found.roles[entry["name"]] = Role(int(entry["id"]), entry.get("description") or "", permissions)
    for entry in users["users"]:
        names = {role["name"] for role in entry["roles"] if _ours(role)}
        found.users[entry["username"]] = User(bool(entry["is_admin"]), names)
    return found


def _ours(role: dict[str, Any]) -> bool:
    return role.get("workspace", _WORKSPACE) == _WORKSPACE and not str(role["name"]).startswith(_OWN)
