# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All facts of the survey, in the form that `mlops_survey` promises."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.missing import missing
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import (
    clock,
    containers,
    dns,
    firewall,
    limits,
    listeners,
    packages,
    running,
)
from ansible_collections.mlops.onprem.plugins.module_utils.survey.proxies import Proxies
from ansible_collections.mlops.onprem.plugins.module_utils.survey.reach import Probe, run_all
from ansible_collections.mlops.onprem.plugins.module_utils.survey.sources import Sources

SCHEMA = 1
NOT_ASKED = "no network was asked: probe is false"
SOURCES_NOT_ASKED = "package sources were not asked: probe_sources is false"
RECORDED = "no network was asked: this is a recorded machine"
# Records of these lists are named in `unreadable` by their name.
_NAMED = ("containers.engines", "dns.names")


def named_by(fact: str) -> tuple[str, ...]:
    """What identifies a record of this list: nothing but its number, for most."""
    return ("name",) if fact in _NAMED else ()


def explain(tree: Tree, facts: dict[str, Any]) -> list[dict[str, str]]:
    """The `unreadable` entries: one for each None, or one with `[]` for that field of all records."""
    entries: dict[str, dict[str, str]] = {}
    for fact in missing(facts, "", named_by):
        general = re.sub(r"\[.*\]", "[]", fact)
        name = fact if fact in tree.notes else general
        path, reason = tree.notes.get(name, ("", "not known"))
        entries.setdefault(name, {"fact": name, "path": path, "reason": reason})
    # A file among several that could not be read leaves a shorter list and no None.
    if "sources" in tree.notes:
        path, reason = tree.notes["sources"]
        entries.setdefault("sources", {"fact": "sources", "path": path, "reason": reason})
    return list(entries.values())


def reached(tree: Tree, target: Mapping[str, Any], probe: Probe | None, reason: str) -> dict[str, Any]:
    """One record of the `reach` facts."""
    result = probe.result if probe else None
    if result is None:
        for field in ("answer", "milliseconds"):
            tree.note(f"reach[].{field}", "network", reason)
    return {
        "host": target["host"],
        "address": target["address"],
        "port": target["port"],
        "protocol": target.get("protocol") or "tcp",
        "why": target.get("why") or "",
        "addresses": result.addresses if result else [],
        "answer": result.answer if result else None,
        "reason": result.reason if result else reason,
        "milliseconds": result.milliseconds if result else None,
    }


def gather(
    root: str = "/",
    names: Sequence[str] = (),
    targets: Sequence[Mapping[str, Any]] = (),
    seconds: float = 3.0,
    probe: bool = True,
    environment: Mapping[str, str] | None = None,
    started: float | None = None,
    probe_sources: bool = True,
) -> dict[str, Any]:
    """All facts of the machine whose files are below `root`. Never raises for what is on the disk or in the network.

    `names`: to look up. `targets`: to connect to, each with host, port and, where it differs, address. `seconds`: limit of
    one probe. `probe`: false asks no network; neither does a recorded machine. `probe_sources`: false leaves package sources
    alone. `environment`: of the process. `started`: the clock when the survey began, seconds since 1970.
    """
    tree = Tree(root)
    environment = environment if environment is not None and tree.live else {}
    asks = probe and tree.live
    reason = "" if asks else NOT_ASKED if tree.live else RECORDED
    wanted = [{**target, "address": target.get("address") or target["host"]} for target in targets]
    proxies = Proxies(tree, environment)
    sources = Sources(tree, environment, proxies)
    own = dns.own_name(tree)
    lookups: dict[str, Probe | None] = dict.fromkeys(names)
    connections: dict[tuple[str, int], Probe] = {}
    own_lookup = None
    if asks:
        lookups = {name: Probe(name, None, seconds) for name in names}
        own_lookup = Probe(own, None, seconds) if own else None
        ends = [(str(target["address"]), int(target["port"])) for target in wanted]
        if probe_sources:
            ends.extend(sources.endpoints)
        connections = {end: Probe(*end, seconds) for end in ends}
        waiting = [item for item in (own_lookup, *lookups.values(), *connections.values()) if item is not None]
        run_all(waiting, seconds)
    processes = running.processes(tree)
    installed = packages.read(tree)
    answers = {end: item.result for end, item in connections.items()}
    facts: dict[str, Any] = {
        "containers": containers.read(tree, processes, installed["versions"]),
        "packages": installed,
        "listeners": listeners.read(tree, processes, os.geteuid() == 0),
        "dns": dns.read(tree, own_lookup, lookups, reason),
        "proxy": proxies.settings,
        "sources": sources.facts(answers, reason or ("" if probe_sources else SOURCES_NOT_ASKED)),
        "reach": [
            reached(tree, target, connections.get((str(target["address"]), int(target["port"]))), reason)
            for target in wanted
        ],
        "firewall": firewall.read(tree),
        "limits": limits.read(tree, installed["manager"], installed["versions"]),
        "time": clock.read(tree, processes, started),
    }
    if processes is None:
        for engine in facts["containers"]["engines"]:
            tree.note(f"containers.engines[{engine['name']}].running", "/proc/<pid>/comm", "no process is shown")
    return {"schema": SCHEMA, **facts, "unreadable": explain(tree, facts)}
