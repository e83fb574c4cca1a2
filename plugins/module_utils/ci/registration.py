# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the runners that a forge knows and those that are wished to the calls between them, and their doing.

A runner that is known from an earlier run and is not on the server was deleted there by somebody: it comes back only when that is asked
for. A runner on the server of the same name that is not known is somebody else's, or what an interrupted run left: its token was shown
once and is lost, so it is replaced only when that is asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.mlops.onprem.plugins.module_utils.ci.problem import Problem
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Made, Runner, Wanted


class Forge(Protocol):
    """What is used of a forge. on_host: whether the runner's own program registers itself, with a token of an hour."""

    on_host: bool

    def list(self) -> list[Runner]: ...
    def details(self, runner: Runner) -> Runner: ...
    def create(self, wanted: Wanted) -> Made: ...
    def differences(self, runner: Runner, wanted: Wanted) -> dict[str, Any]: ...
    def change(self, runner: Runner, body: dict[str, Any]) -> None: ...
    def pause(self, runner: Runner, paused: bool) -> None: ...
    def busy(self, runner: Runner) -> bool: ...
    def delete(self, runner: Runner) -> None: ...


@dataclass
class Step:
    """One thing to do. what: `create`, `change`, `delete`, `pause`."""

    what: str
    name: str
    text: str
    runner: Runner | None = None
    wanted: Wanted | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass
class Result:
    """steps: what was done, or would be. made: once-only tokens by name. runners: what the server tells of each, by name."""

    steps: list[Step] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)
    runners: dict[str, Runner] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def find(wanted: Wanted, listed: list[Runner]) -> tuple[Runner | None, list[Runner]]:
    """Return the runner that is ours, and those that only have its name."""
    number, uuid = wanted.known.get("id", ""), wanted.known.get("uuid", "")
    for runner in listed:
        if (uuid and runner.uuid == uuid) or (number and not (uuid and runner.uuid) and runner.id == number):
            return runner, []
    same = [runner for runner in listed if runner.name == wanted.name]
    # Where the host says that it is registered and the forge tells no more than names, the name decides.
    if wanted.registered and not number and not uuid and len(same) == 1:
        return same[0], []
    return None, same


def plan(forge: Forge, wanted: list[Wanted], listed: list[Runner], recreate: bool) -> Result:
    """Return what has to be done so that all of `wanted` are there. Asks for details, changes nothing."""
    result = Result()
    for one in wanted:
        runner, namesakes = find(one, listed)
        if runner is not None:
            runner = forge.details(runner)
            result.runners[one.name] = runner
            body = forge.differences(runner, one)
            if body:
                result.steps.append(
                    Step("change", one.name, f"change {one.name}: {', '.join(sorted(body))}", runner, one, body)
                )
            continue
        known = bool(one.known) or one.registered
        if namesakes and not recreate:
            result.refused.append(_namesakes(one, namesakes, known))
            continue
        if known and not recreate:
            result.refused.append(
                f"the runner {one.name} is registered on this side and is not on the server: somebody deleted it there, or ci_runner_scope is "
                "another one now. It comes back only when you want it: run this with ci_runner_recreate: true"
            )
            continue
        for other in namesakes:
            result.steps.append(
                Step("delete", one.name, f"delete {one.name} (number {other.id}), whose token is lost", other, one)
            )
        result.steps.append(Step("create", one.name, f"create {one.name}", None, one))
    return result


def _namesakes(one: Wanted, namesakes: list[Runner], known: bool) -> str:
    numbers = ", ".join(runner.id for runner in namesakes)
    if len(namesakes) > 1:
        what = f"there are {len(namesakes)} runners called {one.name} on the server (numbers {numbers}), and which is ours is not known"
    elif known:
        what = f"there is another runner called {one.name} on the server (number {numbers}) than the one that is known here"
    else:
        what = f"there is a runner called {one.name} on the server (number {numbers}), and nothing is known of it here"
    return f"{what}: give another ci_runner_name, or, if it may be replaced, run this with ci_runner_recreate: true"


def provide(forge: Forge, wanted: list[Wanted], recreate: bool, check: bool) -> Result:
    """Do what is missing. Nothing is begun where anything is refused."""
    result = plan(forge, wanted, forge.list(), recreate)
    if check or result.refused:
        return result
    for step in result.steps:
        if step.what == "delete" and step.runner:
            _gone(forge, step.runner)
        elif step.what == "change" and step.runner:
            forge.change(step.runner, step.body)
        elif step.what == "create" and step.wanted:
            try:
                result.made[step.name] = forge.create(step.wanted)
            except Problem as problem:
                # What was made before must not be lost with it: tokens are shown once.
                result.refused.append(str(problem))
                break
    return result


def remove(forge: Forge, wanted: list[Wanted], check: bool) -> Result:
    """Take the runners off the server. One that is not there is no trouble; one of several of a name is."""
    result = Result()
    listed = forge.list()
    for one in wanted:
        runner, namesakes = find(one, listed)
        if runner is None and not one.known and len(namesakes) == 1:
            runner = namesakes[0]
        if runner is not None:
            result.runners[one.name] = runner
            result.steps.append(Step("delete", one.name, f"delete {one.name} (number {runner.id})", runner, one))
        elif len(namesakes) > 1:
            result.refused.append(_namesakes(one, namesakes, bool(one.known)))
    if not check and not result.refused:
        for step in result.steps:
            if step.runner:
                _gone(forge, step.runner)
    return result


def drain(forge: Forge, wanted: list[Wanted], check: bool, seconds: float) -> Result:
    """Have the runners take no more jobs, and wait for those that run. `busy` of the result says who still has one."""
    result = Result()
    listed = forge.list()
    for one in wanted:
        runner = find(one, listed)[0]
        if runner is None:
            continue
        result.runners[one.name] = runner
        if not runner.paused:
            result.steps.append(Step("pause", one.name, f"pause {one.name}", runner, one))
    if check:
        return result
    for step in result.steps:
        if step.runner:
            forge.pause(step.runner, True)
    waited = 0.0
    while True:
        for runner in result.runners.values():
            runner.busy = forge.busy(runner)
        if waited >= seconds or not any(runner.busy for runner in result.runners.values()):
            return result
        time.sleep(5)
        waited += 5


def online(forge: Forge, wanted: list[Wanted], seconds: float) -> Result:
    """Return what the server says of the runners, as soon as all are online, or when the time is over."""
    waited = 0.0
    while True:
        listed = forge.list()
        result = Result()
        for one in wanted:
            runner, namesakes = find(one, listed)
            if runner is None and not one.known and len(namesakes) == 1:
                runner = namesakes[0]
            if runner is not None:
                result.runners[one.name] = runner
        ready = [runner for runner in result.runners.values() if runner.online]
        if len(ready) == len(wanted) or waited >= seconds:
            return result
        time.sleep(2)
        waited += 2


def _gone(forge: Forge, runner: Runner) -> None:
    try:
        forge.delete(runner)
    except Problem as problem:
        # Another run was faster.
        if problem.kind != "missing":
            raise
