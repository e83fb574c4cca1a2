# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From who is there and who shall be there to the calls between them. Knows no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.registry import wanted as want
from ansible_collections.mlops.onprem.plugins.module_utils.registry.found import Found
from ansible_collections.mlops.onprem.plugins.module_utils.registry.wanted import Subject, Wanted

_USERS = "/api/2.0/mlflow/users"
_ROLES = "/api/3.0/mlflow/roles"


@dataclass(frozen=True)
class Step:
    """One call.

    `role` is the name of a role whose number goes into the body: it may be one that an earlier step makes.
    `password_of` is the user whose password goes in; the plan itself holds no secret.
    """

    text: str
    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)
    role: str = ""
    password_of: str = ""


@dataclass
class Plan:
    """The calls in their order; what is there without being listed, and stays; what waits for an experiment to exist."""

    steps: list[Step] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)


def make(wanted: Wanted, found: Found, admin: str, purge: bool) -> Plan:
    """Return the plan. Rights are there before the users who get them, and users are gone before the roles they had."""
    plan = Plan()
    permissions = {name: _resolve(name, role, found, plan) for name, role in wanted.roles.items()}
    plan.steps += [
        *_roles(wanted, found, permissions),
        *_users(wanted, found),
        *_assignments(wanted, found),
    ]
    removals = list(_removals(wanted, found, permissions, admin))
    plan.steps += [step for listed, step in removals if listed or purge]
    plan.unlisted = [step.text for listed, step in removals if not (listed or purge)]
    return plan


def _resolve(name: str, role: want.Role, found: Found, plan: Plan) -> dict[Subject, str]:
    """Return a role's permissions as the registry keeps them: experiments by number."""
    resolved: dict[Subject, str] = {}
    for (kind, resource), permission in role.permissions.items():
        key = resource
        if kind == "experiment" and resource != "*":
            if resource not in found.experiments:
                plan.waiting.append(
                    f"{permission} on the experiment '{resource}' for {_title(name)}: it does not exist yet"
                )
                continue
            key = found.experiments[resource]
        resolved[kind, key] = permission
    return resolved


def _roles(wanted: Wanted, found: Found, permissions: dict[str, dict[Subject, str]]) -> Iterator[Step]:
    for name, role in wanted.roles.items():
        have = found.roles.get(name)
        title = _title(name)
        if have is None:
            body = {"name": name, "workspace": "default", "description": role.description or ""}
            yield Step(f"make {title}", "POST", f"{_ROLES}/create", body, role=name)
        elif role.description is not None and role.description != have.description:
            yield Step(f"describe {title}", "PATCH", f"{_ROLES}/update", {"description": role.description}, role=name)
        for (kind, resource), permission in permissions[name].items():
            number, now = have.permissions.get((kind, resource), (0, "")) if have else (0, "")
            thing = _thing(kind, resource, found)
            if not now:
                body = {"resource_type": kind, "resource_pattern": resource, "permission": permission}
                yield Step(
                    f"add {permission} on {thing} to {title}", "POST", f"{_ROLES}/permissions/add", body, role=name
                )
            elif now != permission:
                change = {"role_permission_id": number, "permission": permission}
                text = f"change {now} on {thing} to {permission} for {title}"
                yield Step(text, "PATCH", f"{_ROLES}/permissions/update", change)


def _users(wanted: Wanted, found: Found) -> Iterator[Step]:
    for name, user in wanted.users.items():
        have = found.users.get(name)
        body: dict[str, Any] = {"username": name}
        if have is None:
            yield Step(f"make user {name}", "POST", f"{_USERS}/create", body, password_of=name)
        elif name in found.other_password:
            yield Step(f"set the password of user {name}", "PATCH", f"{_USERS}/update-password", body, password_of=name)
        if user.admin != (have.admin if have else False):
            text = f"make user {name} an administrator" if user.admin else f"make user {name} an ordinary user"
            yield Step(text, "PATCH", f"{_USERS}/update-admin", {**body, "is_admin": user.admin})


def _assignments(wanted: Wanted, found: Found) -> Iterator[Step]:
    for name, user in wanted.users.items():
        have = found.users[name].roles if name in found.users else set()
        for role in sorted(user.roles - have):
            text = f"give user {name} {_title(role)}"
            yield Step(text, "POST", f"{_ROLES}/assign", {"username": name}, role=role)


def _removals(
    wanted: Wanted, found: Found, permissions: dict[str, dict[Subject, str]], admin: str
) -> Iterator[tuple[bool, Step]]:
    """Yield what goes, and whether that was asked for by name."""
    for name, role in found.roles.items():
        for key, (number, permission) in role.permissions.items() if name in wanted.roles else ():
            if key not in permissions[name]:
                text = f"take {permission} on {_thing(*key, found)} from {_title(name)}"
                yield False, Step(text, "DELETE", f"{_ROLES}/permissions/remove", {"role_permission_id": number})
    for name, user in found.users.items():
        if name in wanted.users:
            # Roles that nobody lists go as a whole, below.
            for role_name in sorted((user.roles - wanted.users[name].roles) & set(wanted.roles)):
                text = f"take {_title(role_name)} from user {name}"
                yield False, Step(text, "DELETE", f"{_ROLES}/unassign", {"username": name}, role=role_name)
        elif name != admin:
            listed = name in wanted.absent
            yield listed, Step(f"remove user {name}", "DELETE", f"{_USERS}/delete", {"username": name})
    gone = {want.personal(name) for name in wanted.absent}
    for name in found.roles:
        if name not in wanted.roles:
            yield name in gone, Step(f"remove {_title(name)}", "DELETE", f"{_ROLES}/delete", role=name)


def _title(role: str) -> str:
    """Return how a role is called in sentences."""
    user = role[len(want.personal("")) :]
    return f"the grants of user {user}" if role == want.personal(user) else f"role {role}"


def _thing(kind: str, resource: str, found: Found) -> str:
    names = {number: name for name, number in found.experiments.items()} if kind == "experiment" else {}
    return f"{kind} {names.get(resource, resource)}"
