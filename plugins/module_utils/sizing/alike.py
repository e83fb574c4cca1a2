# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements on the fleet: at least so many hosts that meet all of these conditions ("three hosts like this")."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import requirements, verdicts
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest

KEYS = ("id", "hosts", "like", "severity", "title", "why", "remedy")


def check(data: object) -> list[dict[str, Any]]:
    """Return the fleet requirements, or raise DataError naming id, key, value and the nearest valid word."""
    if not isinstance(data, list):
        raise DataError(f"fleet requirements: {data!r} is not a list")
    names: set[str] = set()
    for number, entry in enumerate(data, start=1):
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise DataError(f"fleet requirement number {number}: id: {name!r} is not a text")
        where = f"fleet requirement {name!r}"
        if name in names:
            raise DataError(f"{where}: id: is given twice")
        names.add(name)
        for key in entry:
            if key not in KEYS:
                raise DataError(f"{where}: unknown key {key!r}; {nearest(key, KEYS)}")
        count, like = entry.get("hosts"), entry.get("like")
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise DataError(f"{where}: hosts: {count!r} is not a whole number from 1")
        if not isinstance(like, list) or not like:
            raise DataError(f"{where}: like: {like!r} is not a list of conditions (fact, operator, value, ...)")
        for condition in like:
            requirements.check_condition(name, condition)
        if entry.get("severity", "fail") not in requirements.SEVERITIES:
            raise DataError(f"{where}: severity: {entry['severity']!r}; valid: {', '.join(requirements.SEVERITIES)}")
        for key in ("title", "why", "remedy"):
            if not isinstance(entry.get(key, ""), str):
                raise DataError(f"{where}: {key}: {entry[key]!r} is not a text")
    return data


class Counter:
    """How many hosts meet one fleet requirement, counted host by host."""

    def __init__(self, demand: dict[str, Any]) -> None:
        self.demand = demand
        self.alike: list[str] = []
        self.unknown: list[str] = []

    def add(self, name: str, facts: object, error: str) -> None:
        """Count a host; a condition that is known not to hold decides, whatever else is unknown."""
        if error or not isinstance(facts, dict):
            self.unknown.append(name)
            return
        open_question = False
        for condition in self.demand["like"]:
            try:
                if not verdicts.met(condition, verdicts.read(facts, condition)):
                    return
            except verdicts.Unreadable:
                open_question = True
        (self.unknown if open_question else self.alike).append(name)

    def judge(self, row: verdicts.Row) -> verdicts.Row:
        """Fill the fleet's row for this requirement."""
        demand, count = self.demand, self.demand["hosts"]
        texts = [f"{one['fact']} {verdicts.required_text(one)}" for one in demand["like"]]
        row.update(
            severity=demand.get("severity", verdicts.FAIL),
            required=f"{count} {'host' if count == 1 else 'hosts'} with {' and '.join(texts)}",
            found=verdicts.plain(f"{len(self.alike)}: {', '.join(self.alike)}" if self.alike else "none"),
            why=demand.get("why", ""),
        )
        if len(self.alike) < count:
            known = len(self.alike) + len(self.unknown) < count
            row["status"] = row["severity"] if known else verdicts.UNKNOWN
            row["short_by"] = str(count - len(self.alike))
            row["remedy"] = demand.get("remedy", "")
            if self.unknown:
                row["evidence"] = verdicts.plain(f"{row['evidence']}; not known of: {', '.join(self.unknown)}")
        return row
