# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge facts by requirements: exactly one row for each requirement of a host, whatever the facts look like.

Status of a row: `pass`; `fail` or `warn` (not met, by the requirement's severity); `unknown` (the fact is missing or makes no
sense, never a pass); `skipped` (its `applies_when` does not hold). Facts come from machines: nothing in them can raise.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import purchases, units
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.derived import DERIVED
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.fact_paths import (
    FACTS,
    FLAG,
    ITEMS,
    NUMBER,
    TEXT,
    Fact,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.requirements import Requirement

PASS, WARN, FAIL, UNKNOWN, SKIPPED = "pass", "warn", "fail", "unknown", "skipped"
STATUSES = (FAIL, WARN, UNKNOWN, PASS, SKIPPED)
# Rounding of a value in the requirement's unit must not turn equal into less.
ROUNDING = 1e-9
LONGEST_TEXT = 60
LONGEST_ERROR = 240

Row = dict[str, Any]


class Unreadable(Exception):
    """A fact that is needed and missing, with the reason for the row."""


class Reading(NamedTuple):
    """A value in base units, and where it was read."""

    value: Any
    place: str


def plain(text: object, longest: int = LONGEST_TEXT) -> str:
    """Return a short text on one line that cannot disturb a terminal or a table."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split()))
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."


def _scalar(fact: Fact, raw: object) -> Any:
    """Return a raw value of the fact's kind in base units, or None where it is none."""
    if fact.kind == NUMBER:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            return None
        if not -1e30 < raw < 1e30 or not math.isfinite(raw):
            return None
        if fact.dimension == units.GPU_MEMORY:
            return units.gpu_class(raw) if raw > 0 else None
        return raw * fact.scale if raw >= 0 else None
    if fact.kind == FLAG:
        return raw if isinstance(raw, bool) else None
    if fact.kind == TEXT:
        return raw if isinstance(raw, str) else None
    if isinstance(raw, list) and all(isinstance(text, str) for text in raw):
        return raw
    return None


def _dig(data: object, fields: list[str]) -> object:
    for field in fields:
        data = data.get(field) if isinstance(data, dict) else None
    return data


def _items(facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = facts.get(name)
    if not isinstance(items, list):
        raise Unreadable(name)
    if not all(isinstance(item, dict) for item in items):
        raise Unreadable(f"{name}: not a list of records")
    for entry in _unreadable(facts):
        # A list that could not be read whole must not be taken for a short list.
        if entry.get("fact") == name:
            raise Unreadable(name)
    return items


def _unreadable(facts: dict[str, Any]) -> list[dict[str, Any]]:
    entries = facts.get("unreadable")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _chosen(items: list[dict[str, Any]], where: dict[str, str]) -> list[dict[str, Any]]:
    chosen = []
    for item in items:
        values = [(_dig(item, field.split(".")), value) for field, value in where.items()]
        if all(isinstance(found, str) and found == value for found, value in values):
            chosen.append(item)
        elif not any(isinstance(found, str) and found != value for found, value in values):
            raise Unreadable(", ".join(where))
    return chosen


def _holding(filesystems: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """Return the filesystem that holds a path: the one with the longest mount point above it, the last mounted of equals."""
    best: dict[str, Any] | None = None
    longest = -1
    for item in filesystems:
        mount = item.get("mount")
        if not isinstance(mount, str):
            raise Unreadable("filesystems[].mount")
        if (path + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= longest:
            best, longest = item, len(mount)
    if best is None:
        raise Unreadable(f"no filesystem holds {path}")
    return best


def read(facts: dict[str, Any], condition: dict[str, Any]) -> Reading:
    """Return what the facts say about a condition's fact, in base units. Raises Unreadable."""
    path = condition["fact"]
    fact = FACTS[path]
    if "[]" not in path:
        raw = DERIVED[path](facts) if path in DERIVED else _dig(facts, path.split("."))
        value = _scalar(fact, raw)
        if value is None:
            raise Unreadable(path)
        return Reading(value, fact.source)
    name, _dot, rest = path.partition("[]")
    items = _items(facts, name)
    if "at" in condition:
        items = [_holding(items, condition["at"])]
    items = _chosen(items, condition.get("where", {}))
    if fact.kind == ITEMS:
        return Reading(len(items), fact.source)
    fields = rest.lstrip(".").split(".")
    values = [_scalar(fact, _dig(item, fields)) for item in items]
    if any(value is None for value in values):
        raise Unreadable(path)
    if "at" in condition:
        return Reading(values[0], f"{fact.source}: {plain(items[0].get('mount'))}")
    if condition["aggregate"] == "all":
        return Reading(values, fact.source)
    if not values:
        # Of nothing there is nothing: 0 bytes, no link.
        return Reading(0, fact.source)
    if condition["aggregate"] == "sum":
        return Reading(sum(values), fact.source)
    return Reading(min(values) if condition["aggregate"] == "min" else max(values), fact.source)


def _holds(operator: str, found: Any, wanted: Any) -> bool:
    if operator == "in":
        return found in wanted
    if operator == "not in":
        return found not in wanted
    if operator == "contains":
        return set(wanted) <= set(found)
    if operator == "==":
        return bool(found == wanted)
    if operator == "!=":
        return bool(found != wanted)
    slack = abs(wanted) * ROUNDING
    if operator == ">=":
        return bool(found >= wanted - slack)
    if operator == "<=":
        return bool(found <= wanted + slack)
    return bool(found > wanted) if operator == ">" else bool(found < wanted)


def _wanted(condition: dict[str, Any]) -> Any:
    """Return the condition's value in base units, less its tolerance."""
    if FACTS[condition["fact"]].kind not in (NUMBER, ITEMS):
        return condition["value"]
    return condition["value"] * units.scale(condition) * (1 - condition.get("tolerance_percent", 0) / 100)


def met(condition: dict[str, Any], reading: Reading) -> bool:
    """Return whether a reading meets a condition; where all items are asked, every one must, and there must be one."""
    operator, wanted = condition["operator"], _wanted(condition)
    if condition.get("aggregate") == "all":
        return bool(reading.value) and all(_holds(operator, value, wanted) for value in reading.value)
    return _holds(operator, reading.value, wanted)


def _worded(condition: dict[str, Any], value: Any) -> str:
    """Return a value in base units as text, in the condition's unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        text: str = units.shown(value / units.scale(condition), condition.get("unit", ""))
        return text
    if isinstance(value, list):
        return plain(", ".join(sorted({_worded(condition, item) for item in value})) or "none")
    return plain(value)


def required_text(condition: dict[str, Any]) -> str:
    """Return what a condition asks for, as `>= 4 GiB (-7 %)`."""
    value = condition["value"]
    if FACTS[condition["fact"]].kind in (NUMBER, ITEMS):
        text = units.shown(value, condition.get("unit", ""))
    else:
        text = _worded(condition, value)
    operator = "" if condition["operator"] == "==" else condition["operator"] + " "
    tolerance = condition.get("tolerance_percent", 0)
    return f"{operator}{text}" + (f" (-{tolerance:g} %)" if tolerance else "")


def _short_by(condition: dict[str, Any], reading: Reading) -> str:
    """Return how much more is needed, measured from the required value without its tolerance."""
    numbers = FACTS[condition["fact"]].kind in (NUMBER, ITEMS)
    if not numbers or condition["operator"] not in (">=", ">"):
        return ""
    found = min(reading.value, default=0) if isinstance(reading.value, list) else reading.value
    return _worded(condition, condition["value"] * units.scale(condition) - found)


def _why_unreadable(facts: dict[str, Any], path: str) -> str:
    """Return path and reason of the first entry about a fact: `disks[sda].model` tells of `disks[].model`."""
    wanted = path.replace("[]", "")
    for entry in _unreadable(facts):
        name = entry.get("fact")
        if isinstance(name, str) and f"{wanted}.".startswith(re.sub(r"\[[^\]]*\]", "", name) + "."):
            return plain(f"{entry.get('path')}: {entry.get('reason')}")
    return ""


def _applies(facts: dict[str, Any], requirement: Requirement) -> bool:
    return all(met(condition, read(facts, condition)) for condition in requirement.get("applies_when", []))


def judge(host: str, facts: object, requirement: Requirement, error: str = "") -> Row:
    """Return the one row of a host and a checked requirement. `error` says why a host has no facts at all."""
    source = FACTS[requirement["fact"]].source
    row: Row = {
        "host": host,
        "check": requirement["id"],
        "title": requirement.get("title", "") or requirement["id"],
        "status": UNKNOWN,
        "severity": requirement.get("severity", FAIL),
        "required": required_text(requirement),
        "found": "unknown",
        "short_by": "",
        "evidence": f"{requirement['fact']} ({source})",
        "why": requirement.get("why", ""),
        "remedy": requirement.get("remedy", ""),
        # Needed and there, in base units, where both are amounts: what a bar is drawn of.
        "amounts": None,
        "purchase": None,
        "waived_by": "",
        "simulated": is_simulated(facts),
        "planned": False,
        "host_error": plain(error, LONGEST_ERROR),
    }
    if error or not isinstance(facts, dict):
        row["found"] = "host could not be read"
        return row
    try:
        if not _applies(facts, requirement):
            row.update(status=SKIPPED, found="does not apply")
            return row
        reading = read(facts, requirement)
    except Unreadable as missing:
        reason = _why_unreadable(facts, requirement["fact"])
        row["evidence"] += f": {reason}" if reason else f": {plain(missing)} is missing"
        return row
    row["evidence"] = f"{requirement['fact']} ({reading.place})"
    row["found"] = _worded(requirement, reading.value)
    if requirement["operator"] in (">=", ">") and not isinstance(reading.value, (list, str, bool)):
        row["amounts"] = [requirement["value"] * units.scale(requirement), reading.value]
    if met(requirement, reading):
        row["status"] = PASS
    else:
        row["status"] = row["severity"]
        row["short_by"] = _short_by(requirement, reading)
        row["purchase"] = purchases.of_requirement(requirement, reading.value, facts)
    return row


def is_simulated(facts: object) -> bool:
    """Return whether facts describe a machine that does not exist: its product name says so."""
    product = _dig(facts, ["system", "product"])
    return isinstance(product, str) and "simulated" in product.lower()
