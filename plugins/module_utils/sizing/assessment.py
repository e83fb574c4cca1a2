# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the hosts' facts to the rows of all hosts: the one call that the module makes."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import (
    alike,
    fleet,
    gate,
    purchases,
    requirements,
    stock,
    table,
    verdicts,
    waivers,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.derive import workload_requirements

# The one row of a host that could not be read and of which nothing else is asked: no host is ever left out.
ANY_FACT: requirements.Requirement = {
    "id": "facts",
    "profiles": [],
    "fact": "system.architecture",
    "operator": "not in",
    "value": [""],
}
HOST_KEYS = ("facts", "profiles", "error", "planned", "survey", "ports")


def _check_host(name: str, host: object, profiles: set[str]) -> dict[str, Any]:
    if not isinstance(host, dict):
        raise DataError(f"host {name!r}: {host!r} is not a dictionary")
    for key in host:
        if key not in HOST_KEYS:
            raise DataError(f"host {name!r}: unknown key {key!r}; {nearest(key, HOST_KEYS)}")
    wanted = host.get("profiles")
    if not isinstance(wanted, list):
        raise DataError(f"host {name!r}: profiles: {wanted!r} is not a list")
    for profile in wanted:
        if not isinstance(profile, str) or profile not in profiles:
            raise DataError(f"host {name!r}: profiles: {profile!r} is no profile; {nearest(profile, profiles)}")
    return host


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def assess(
    hosts: object,
    shipped: object,
    own: object = (),
    waived: object = (),
    known_hosts: Iterable[str] = (),
    level: str = gate.NORMAL,
    today: datetime.date | None = None,
    workloads: object = (),
    fleet_hosts: Iterable[str] = (),
    fleet_requirements: object = (),
    seen: Callable[[str, dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Return rows, summary, blocking, message, lines, workloads and purchases. Raises DataError for bad data, and nothing else.

    `hosts` is a mapping `{name: {facts, profiles, error, planned}}`, facts None where there are none. It is gone through once, host
    by host, and no facts are kept, so a mapping that reads a host when it is asked for holds one host in memory at a time; `seen` is
    called with each. `known_hosts` are the names that a waiver may use beside those (a run may be limited to some hosts);
    `fleet_hosts` are those whose GPUs the workloads may use.
    """
    demands = requirements.merge(shipped, _listed(own))
    needs = workload_requirements(_listed(workloads))
    counters = [alike.Counter(demand) for demand in alike.check(_listed(fleet_requirements))]
    if not isinstance(hosts, Mapping):
        raise DataError(f"hosts: {hosts!r} is not a dictionary")
    profiles = requirements.profile_names(demands)
    by_profiles: dict[tuple[str, ...], list[requirements.Requirement]] = {}
    rows: list[verdicts.Row] = []
    whole = stock.Stock()
    for name, given in hosts.items():
        host = _check_host(name, given, profiles)
        key = tuple(sorted(set(host["profiles"])))
        if key not in by_profiles:
            by_profiles[key] = requirements.of_host(demands, key)
        facts, error = host.get("facts"), str(host.get("error") or "")
        if not error and not isinstance(facts, dict):
            error = "no facts were gathered"
        wanted = by_profiles[key] or ([ANY_FACT] if error else [])
        for demand in wanted:
            row = verdicts.judge(name, facts, demand, error)
            row["planned"] = bool(host.get("planned"))
            rows.append(row)
        whole.add(name, facts, error)
        for counter in counters:
            counter.add(name, facts, error)
        if seen is not None:
            seen(name, host)
    rows.extend(fleet.rows(needs, counters, whole, fleet_hosts))
    decided = waivers.check(
        _listed(waived),
        {demand["id"] for demand in demands} | {row["check"] for row in rows},
        {*whole.names, *known_hosts, fleet.FLEET},
        today or datetime.date.today(),
    )
    waivers.apply(rows, decided)
    blocking = [row for row in rows if gate.blocks(row, level)]
    return {
        "rows": rows,
        "summary": gate.summary(rows),
        "blocking": blocking,
        "message": gate.message(blocking),
        "lines": table.lines(rows),
        "workloads": needs,
        "purchases": purchases.purchases(rows),
    }
