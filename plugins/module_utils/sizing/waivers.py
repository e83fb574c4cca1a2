# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: a named person's decision, with a reason and an end, that one shortfall of one host shall not block."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest

KEYS = ("check", "host", "reason", "until")


def _date(text: object) -> datetime.date | None:
    # YAML reads an unquoted 2026-12-31 as a date; the module gets it as text.
    try:
        return datetime.date.fromisoformat(str(text)[:10]) if isinstance(text, str) else None
    except ValueError:
        return None


def check(waivers: object, checks: Iterable[str], hosts: Iterable[str], today: datetime.date) -> list[dict[str, Any]]:
    """Return the waivers, or raise DataError for one that is unclear, expired, or waives nothing that exists."""
    if not isinstance(waivers, list):
        raise DataError(f"waivers: {waivers!r} is not a list")
    known_checks, known_hosts = set(checks), set(hosts)
    seen = set()
    for number, waiver in enumerate(waivers):
        name = f"waiver number {number + 1}"
        if not isinstance(waiver, dict):
            raise DataError(f"{name}: {waiver!r} is not a dictionary")
        for key in waiver:
            if key not in KEYS:
                raise DataError(f"{name}: unknown key {key!r}; {nearest(key, KEYS)}")
        for key in KEYS:
            if not isinstance(waiver.get(key), str) or not waiver[key].strip():
                raise DataError(f"{name}: {key}: {waiver.get(key)!r} is not a text; every waiver has {', '.join(KEYS)}")
        name = f"waiver number {number + 1} ({waiver['check']!r} on {waiver['host']!r})"
        if waiver["check"] not in known_checks:
            raise DataError(f"{name}: check: no check has this id; {nearest(waiver['check'], known_checks)}")
        if waiver["host"] not in known_hosts:
            raise DataError(f"{name}: host: the inventory has no such host; {nearest(waiver['host'], known_hosts)}")
        until = _date(waiver["until"])
        if until is None:
            raise DataError(f"{name}: until: {waiver['until']!r} is not a date like 2026-12-31")
        if until < today:
            raise DataError(f"{name}: until: expired on {until}; remove the waiver, or decide again and set a new date")
        if (waiver["check"], waiver["host"]) in seen:
            raise DataError(f"{name}: is given twice")
        seen.add((waiver["check"], waiver["host"]))
    return list(waivers)


def apply(rows: Iterable[dict[str, Any]], waivers: Iterable[dict[str, Any]]) -> None:
    """Mark the rows that are not met or not known and have a waiver. A row that passes needs none."""
    reasons = {
        (waiver["check"], waiver["host"]): f"{waiver['reason']} (until {waiver['until'][:10]})" for waiver in waivers
    }
    for row in rows:
        if row["status"] in ("fail", "warn", "unknown"):
            row["waived_by"] = reasons.get((row["check"], row["host"]), "")
