# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the hosts' facts to the rows of all hosts: the one call that the module makes."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import (
    fleet,
    gate,
    requirements,
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
HOST_KEYS = ("facts", "profiles", "error")


def _check_hosts(hosts: object, profiles: set[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(hosts, dict):
        raise DataError(f"hosts: {hosts!r} is not a dictionary")
    for name, host in hosts.items():
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
    return hosts


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
) -> dict[str, Any]:
    """Return rows, summary, blocking, message, lines and workloads. Raises DataError for bad data, and nothing else.

    `hosts` is `{name: {facts, profiles, error}}`, facts None where there are none; `known_hosts` are the names that a waiver may
    use beside those (a run may be limited to some hosts); `fleet_hosts` are those whose GPUs the workloads may use.
    """
    demands = requirements.merge(shipped, list(own) if isinstance(own, tuple) else own)
    checked = _check_hosts(hosts, requirements.profile_names(demands))
    by_profiles: dict[tuple[str, ...], list[requirements.Requirement]] = {}
    rows: list[verdicts.Row] = []
    for name, host in checked.items():
        key = tuple(sorted(set(host["profiles"])))
        if key not in by_profiles:
            by_profiles[key] = requirements.of_host(demands, key)
        error = str(host.get("error") or "")
        if not error and not isinstance(host.get("facts"), dict):
            error = "no facts were gathered"
        wanted = by_profiles[key] or ([ANY_FACT] if error else [])
        rows.extend(verdicts.judge(name, host.get("facts"), demand, error) for demand in wanted)
    needs = workload_requirements(list(workloads) if isinstance(workloads, tuple) else workloads)
    rows.extend(fleet.rows(needs, checked, fleet_hosts))
    checks = {demand["id"] for demand in demands} | {row["check"] for row in rows}
    decided = waivers.check(
        list(waived) if isinstance(waived, tuple) else waived,
        checks,
        {*checked, *known_hosts, fleet.FLEET},
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
    }
