# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look, plan, do, look again."""

from __future__ import annotations

from typing import Any, Protocol

from ansible_collections.mlops.onprem.plugins.module_utils.registry import found, plan
from ansible_collections.mlops.onprem.plugins.module_utils.registry.api import Login, Refused
from ansible_collections.mlops.onprem.plugins.module_utils.registry.found import Found
from ansible_collections.mlops.onprem.plugins.module_utils.registry.plan import Plan
from ansible_collections.mlops.onprem.plugins.module_utils.registry.wanted import Wanted

# Another run may do the same at the same time: what it made is then there, and what it removed is gone.
_RACED = ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST")
_ROUNDS = 4


class NoEffect(Exception):
    """The calls were answered with yes, and changed nothing."""


class Caller(Protocol):
    """What is used of the API."""

    def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a call."""

    def accepts(self, login: Login) -> bool:
        """Say whether a login is right."""


def look(api: Caller, wanted: Wanted, passwords: dict[str, str]) -> Found:
    """Read all that the plan needs. One call each for users and roles, one for each listed user and named experiment."""
    state = found.read(
        api.call("GET", "/api/2.0/mlflow/users/list", {}), api.call("GET", "/api/3.0/mlflow/roles/list", {})
    )
    for name, user in wanted.users.items():
        if name in state.users and user.update_password and not api.accepts(Login(name, passwords[name])):
            state.other_password.add(name)
    names = {
        resource
        for role in wanted.roles.values()
        for kind, resource in role.permissions
        if kind == "experiment" and resource != "*"
    }
    for name in sorted(names):
        try:
            answer = api.call("GET", "/api/2.0/mlflow/experiments/get-by-name", {"experiment_name": name})
        except Refused as refused:
            if refused.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            continue
        if answer["experiment"].get("lifecycle_stage", "active") == "active":
            state.experiments[name] = str(answer["experiment"]["experiment_id"])
    return state


def provide(
    api: Caller, wanted: Wanted, passwords: dict[str, str], admin: str, purge: bool, forced: set[str], check: bool
) -> Plan:
    """Do what is missing and return what was done. `forced` get their password set whatever theirs is now."""
    state = look(api, wanted, passwords)
    state.other_password |= forced & set(state.users)
    first = made = plan.make(wanted, state, admin, purge)
    if check or not made.steps:
        return made
    for _round in range(_ROUNDS):
        try:
            _do(api, made, state, passwords)
        except Refused as refused:
            if refused.code not in _RACED:
                raise
        state = look(api, wanted, passwords)
        made = plan.make(wanted, state, admin, purge)
        if not made.steps:
            return first
    raise NoEffect(", ".join(step.text for step in made.steps))


def _do(api: Caller, made: Plan, state: Found, passwords: dict[str, str]) -> None:
    numbers = {name: role.number for name, role in state.roles.items()}
    for step in made.steps:
        body = dict(step.body)
        if step.role in numbers:
            body["role_id"] = numbers[step.role]
        if step.password_of:
            body["password"] = passwords[step.password_of]
        answer = api.call(step.method, step.path, body)
        if "role" in answer:
            numbers[answer["role"]["name"]] = answer["role"]["id"]
