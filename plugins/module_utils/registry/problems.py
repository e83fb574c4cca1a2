# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with users, roles and grants before any host is asked. Every problem is a sentence; none has a password in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.registry import wanted
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import nearest

# MLflow's own limit.
PASSWORD_LEAST = 12
_DIFFERENT_LEAST = 5
# Names become file names on the controller and parts of a login, where a colon ends the name.
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,98}")
_ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,98}")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")


def problems(
    users: list[dict[str, Any]],
    roles: list[dict[str, Any]],
    grants: list[dict[str, Any]],
    admin: str,
    purge: bool = False,
    rotate: list[str] | None = None,
) -> list[str]:
    """Return everything that is wrong, in the order of the lists."""
    return [
        *_users(users, roles, admin, purge),
        *_roles(roles),
        *_grants(grants, users, roles, admin),
        *_rotate(rotate or [], users, admin),
    ]


def weakness(user: str, password: str) -> str:
    """Return what is wrong with a password, or an empty string."""
    if len(password) < PASSWORD_LEAST:
        return f"has fewer than {PASSWORD_LEAST} characters"
    if _FORBIDDEN.search(password):
        return "has a line break or another control character"
    if len(set(password)) < _DIFFERENT_LEAST:
        return f"has fewer than {_DIFFERENT_LEAST} different characters"
    if user.lower() in password.lower():
        return "has the user's name in it"
    return ""


def _names(entries: list[dict[str, Any]], variable: str, pattern: re.Pattern[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for index, entry in enumerate(entries):
        name = str(entry["name"])
        where = f"{variable}[{index}] ({name})"
        if not pattern.fullmatch(name):
            yield f"{where}: a name begins with a letter or digit and has letters, digits and ._@+- only, 99 at most"
        first = seen.get(name.lower())
        seen.setdefault(name.lower(), name)
        if first is not None:
            differing = "" if first == name else f"; '{first}' differs in upper and lower case only"
            yield f"{where}: there is a second entry for this name{differing}. Keep one"


def _users(users: list[dict[str, Any]], roles: list[dict[str, Any]], admin: str, purge: bool) -> Iterator[str]:
    yield from _names(users, "model_registry_users", _USER)
    known = [role["name"] for role in roles]
    for index, user in enumerate(users):
        name, stays = str(user["name"]), wanted.stays(user)
        where = f"model_registry_users[{index}] ({name})"
        if name.lower() == admin.lower():
            yield (
                f"{where}: the administrator cannot remove himself"
                if not stays
                else f"{where}: the administrator is given by model_registry_admin_user and model_registry_admin_password"
            )
        if not stays:
            continue
        weak = weakness(name, str(user["password"])) if user.get("password") is not None else ""
        if weak:
            yield f"{where}: the password {weak}. Give a better one, or none, and one is generated"
        for role in user.get("roles") or []:
            if role not in known:
                yield f"{where}: the role '{role}' is not in model_registry_roles{_hint(role, known)}"
    if purge and not wanted.present(users):
        yield (
            "model_registry_users_purge is true and model_registry_users lists nobody who stays: all users would be removed. "
            "List those who stay, or remove single ones with state: absent"
        )


def _permission(where: str, entry: dict[str, Any]) -> Iterator[str]:
    kind, resource = wanted.subject(entry)
    if kind not in wanted.TYPES:
        yield f"{where}: the type '{kind}' is not known{_hint(kind, wanted.TYPES)}"
    elif kind in wanted.ALL_ONLY and resource != "*":
        yield f"{where}: rights on single resources of the type {kind} do not exist; use '*' for all"
    if not resource or _FORBIDDEN.search(resource):
        yield f"{where}: the resource is a name, or '*' for all"
    if entry["permission"] not in wanted.PERMISSIONS:
        yield f"{where}: the permission '{entry['permission']}' is not known{_hint(entry['permission'], wanted.PERMISSIONS)}"


def _roles(roles: list[dict[str, Any]]) -> Iterator[str]:
    yield from _names(roles, "model_registry_roles", _ROLE)
    for index, role in enumerate(roles):
        seen: set[wanted.Subject] = set()
        for number, entry in enumerate(role.get("permissions") or []):
            where = f"model_registry_roles[{index}] ({role['name']}), permissions[{number}]"
            yield from _permission(where, entry)
            yield from _twice(where, entry, seen)


def _twice(where: str, entry: dict[str, Any], seen: set[Any], *owner: str) -> Iterator[str]:
    key = (*owner, *wanted.subject(entry))
    if key in seen:
        yield f"{where}: there is a second permission for the same thing. Keep one"
    seen.add(key)


def _grants(
    grants: list[dict[str, Any]], users: list[dict[str, Any]], roles: list[dict[str, Any]], admin: str
) -> Iterator[str]:
    names = [str(user["name"]) for user in wanted.present(users)]
    known = [role["name"] for role in roles]
    # What a role's own list says must not be said again, and differently, by a grant.
    seen: set[Any] = {
        ("role", role["name"], *wanted.subject(entry)) for role in roles for entry in role.get("permissions") or []
    }
    for index, grant in enumerate(grants):
        user, role = grant.get("user"), grant.get("role")
        where = f"model_registry_grants[{index}] ({user or role or 'nobody'})"
        if bool(user) == bool(role):
            yield f"{where}: a grant is for a user or for a role; give one of the two"
            continue
        if user and user.lower() == admin.lower():
            yield f"{where}: the administrator may do everything already"
        elif user and user not in names:
            yield f"{where}: the user '{user}' is not in model_registry_users, or shall be absent{_hint(user, names)}"
        if role and role not in known:
            yield f"{where}: the role '{role}' is not in model_registry_roles{_hint(role, known)}"
        yield from _permission(where, grant)
        yield from _twice(where, grant, seen, "user" if user else "role", str(user or role))


def _rotate(rotate: list[str], users: list[dict[str, Any]], admin: str) -> Iterator[str]:
    stay = {str(user["name"]): user for user in wanted.present(users)}
    for name in rotate:
        if name == admin:
            yield f"model_registry_users_rotate: '{name}' is the administrator, whose password is not rotated here"
        elif name not in stay:
            yield f"model_registry_users_rotate: '{name}' is not in model_registry_users{_hint(name, list(stay))}"
        elif stay[name].get("password") is not None:
            yield f"model_registry_users_rotate: the password of '{name}' is given: give another one instead"


def _hint(word: str, known: Iterable[str]) -> str:
    return f"; {nearest(word, known)}"
