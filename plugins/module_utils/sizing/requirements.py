# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requirements are data: check them, lay a site's own over the shipped ones, pick those that a host must meet.

A requirement is a dict: id, profiles, fact, operator and value are required; the other keys are in KEYS. Whatever is wrong
with one raises `DataError`, which names the requirement, the key, the value and the nearest valid word.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import units
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.fact_paths import (
    FACTS,
    FLAG,
    ITEMS,
    NUMBER,
    TEXT,
    TEXTS,
    Fact,
)

Requirement = dict[str, Any]

ORDER = (">=", ">", "<=", "<")
EQUAL = ("==", "!=")
MEMBER = ("in", "not in")
CONTAINS = ("contains",)
# What may be asked of a fact of each kind; a list of items is asked for its number.
OPERATORS = {
    NUMBER: ORDER + EQUAL,
    ITEMS: ORDER + EQUAL,
    TEXT: EQUAL + MEMBER,
    FLAG: EQUAL,
    TEXTS: CONTAINS,
}
AGGREGATES = ("min", "max", "sum", "all")
SEVERITIES = ("fail", "warn")
COMBINES = ("max", "sum")
CONDITION_KEYS = ("fact", "at", "where", "aggregate", "operator", "value", "unit", "tolerance_percent")
KEYS = CONDITION_KEYS + (
    "id",
    "profiles",
    "state",
    "severity",
    "combine",
    "applies_when",
    "title",
    "why",
    "remedy",
    "source",
    "translations",
)
# The texts that a requirement may carry in further languages: `translations: {de: {title, why, remedy}}`.
TRANSLATED_KEYS = ("title", "why", "remedy")
# Begins the id of the requirement that sums up what shares a host.
TOGETHER = "together."
TEXT_KEYS = ("title", "why", "remedy", "source")


def _fail(name: str, key: str, value: object, problem: str) -> DataError:
    return DataError(f"requirement {name!r}: {key}: {value!r} {problem}")


def _choice(name: str, key: str, value: object, valid: Iterable[str]) -> None:
    words = list(valid)
    if not isinstance(value, str) or value not in words:
        raise _fail(name, key, value, f"is not valid; {nearest(value, words)}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_unit(name: str, fact: Fact, data: dict[str, Any]) -> None:
    valid = units.UNITS.get(fact.dimension, {}) if fact.kind == NUMBER else {}
    unit = data.get("unit")
    if valid and unit is None:
        raise _fail(name, "unit", unit, f"is missing; {data['fact']} needs one of {', '.join(valid)}")
    if unit is not None and not valid:
        raise _fail(name, "unit", unit, f"does not fit: {data['fact']} has no unit")
    if unit is not None and (not isinstance(unit, str) or unit not in valid):
        raise _fail(name, "unit", unit, f"does not fit {data['fact']} ({fact.dimension}); {nearest(unit, valid)}")


def _check_value(name: str, fact: Fact, data: dict[str, Any]) -> None:
    value, operator = data["value"], data["operator"]
    if fact.kind in (NUMBER, ITEMS):
        if not _is_number(value) or value < 0 or value > 1e18:
            raise _fail(name, "value", value, "is not a number from 0 to 1e18")
    elif fact.kind == FLAG:
        if not isinstance(value, bool):
            raise _fail(name, "value", value, "is not true or false")
    elif operator in MEMBER or operator in CONTAINS:
        if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
            raise _fail(name, "value", value, f"is not a list of texts, which operator {operator!r} needs")
    elif not isinstance(value, str):
        raise _fail(name, "value", value, "is not a text")


def _check_selection(name: str, fact: Fact, data: dict[str, Any]) -> None:
    """Check the keys that pick from a list: `at`, `where`, `aggregate`."""
    path = data["fact"]
    listed = "[]" in path
    for key in ("where", "aggregate"):
        if key in data and not listed:
            raise _fail(name, key, data[key], f"does not fit: {path} is not a list")
    if "at" in data:
        if not path.startswith("filesystems[]."):
            raise _fail(name, "at", data["at"], "picks the filesystem of a path; it fits facts of filesystems[] only")
        if not isinstance(data["at"], str) or not data["at"].startswith("/"):
            raise _fail(name, "at", data["at"], "is not an absolute path")
        if "aggregate" in data:
            raise _fail(name, "aggregate", data["aggregate"], "does not fit beside `at`, which picks one filesystem")
    elif listed and fact.kind != ITEMS:
        if "aggregate" not in data:
            raise _fail(name, "aggregate", None, f"is missing: {path} is a list; one of {', '.join(AGGREGATES)}")
        _choice(name, "aggregate", data["aggregate"], AGGREGATES if fact.kind == NUMBER else ("all",))
    elif "aggregate" in data:
        raise _fail(name, "aggregate", data["aggregate"], f"does not fit: {path} is counted")
    if "where" in data:
        if not isinstance(data["where"], dict) or not data["where"]:
            raise _fail(name, "where", data["where"], "is not a dictionary of field and text")
        prefix = path.split("[]")[0] + "[]."
        fields = [
            other[len(prefix) :] for other, known in FACTS.items() if other.startswith(prefix) and known.kind == TEXT
        ]
        for field, value in data["where"].items():
            _choice(name, "where", field, fields)
            if not isinstance(value, str):
                raise _fail(name, f"where.{field}", value, "is not a text")


def check_condition(name: str, data: object) -> None:
    """Raise DataError unless a condition (the keys of CONDITION_KEYS) can be judged."""
    if not isinstance(data, dict):
        raise DataError(f"requirement {name!r}: condition: {data!r} is not a dictionary")
    for key in data:
        _choice(name, "condition", key, CONDITION_KEYS)
    _check_condition(name, data)


def _check_condition(name: str, data: dict[str, Any]) -> None:
    for key in ("fact", "operator", "value"):
        if key not in data:
            raise _fail(name, key, None, "is missing")
    _choice(name, "fact", data["fact"], FACTS)
    fact = FACTS[data["fact"]]
    _choice(name, "operator", data["operator"], OPERATORS[fact.kind])
    _check_unit(name, fact, data)
    _check_value(name, fact, data)
    _check_selection(name, fact, data)
    tolerance = data.get("tolerance_percent", 0)
    if not _is_number(tolerance) or not 0 <= tolerance < 50:
        raise _fail(name, "tolerance_percent", tolerance, "is not a number from 0 to below 50")
    if tolerance and data["operator"] != ">=":
        raise _fail(name, "tolerance_percent", tolerance, "fits operator '>=' only")


def _name_of(data: object, number: int) -> str:
    if not isinstance(data, dict):
        raise DataError(f"requirement number {number + 1}: {data!r} is not a dictionary")
    name = data.get("id")
    if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
        raise DataError(f"requirement number {number + 1}: id: {name!r} is not a text")
    if name.startswith(TOGETHER):
        raise DataError(f"requirement {name!r}: id: {name!r} begins with {TOGETHER!r}, which is kept for sums")
    for key in data:
        if key not in KEYS:
            raise DataError(f"requirement {name!r}: {key}: {data[key]!r} unknown key {key!r}; {nearest(key, KEYS)}")
    return name


def _check_translations(name: str, data: object) -> None:
    if not isinstance(data, dict):
        raise _fail(name, "translations", data, "is not a dictionary of languages, as {de: {title, why, remedy}}")
    for language, texts in data.items():
        if not isinstance(texts, dict):
            raise _fail(name, f"translations.{language}", texts, "is not a dictionary")
        for key, text in texts.items():
            _choice(name, f"translations.{language}", key, TRANSLATED_KEYS)
            if not isinstance(text, str):
                raise _fail(name, f"translations.{language}.{key}", text, "is not a text")


def check(data: Requirement, name: str) -> None:
    """Raise DataError unless the requirement can be judged."""
    names = data.get("profiles")
    if not isinstance(names, list) or not names or not all(isinstance(profile, str) for profile in names):
        raise _fail(name, "profiles", names, "is not a list of at least one profile")
    _check_condition(name, data)
    _choice(name, "severity", data.get("severity", "fail"), SEVERITIES)
    _choice(name, "combine", data.get("combine", "max"), COMBINES)
    if data.get("combine") == "sum" and (FACTS[data["fact"]].kind != NUMBER or data["operator"] != ">="):
        raise _fail(name, "combine", "sum", "needs a fact that is a number and the operator '>='")
    if data.get("combine") == "sum" and FACTS[data["fact"]].dimension == units.GPU_MEMORY:
        raise _fail(name, "combine", "sum", "does not fit GPU memory: classes do not add up")
    for key in TEXT_KEYS:
        if key in data and not isinstance(data[key], str):
            raise _fail(name, key, data[key], "is not a text")
    _check_translations(name, data.get("translations", {}))
    conditions = data.get("applies_when", [])
    if not isinstance(conditions, list):
        raise _fail(name, "applies_when", conditions, "is not a list of conditions")
    for condition in conditions:
        check_condition(f"{name} (applies_when)", condition)


def merge(shipped: object, own: object) -> list[Requirement]:
    """Lay a site's own requirements over the shipped ones, all checked: same id replaces, `state: absent` removes."""
    result: dict[str, Requirement] = {}
    for source in (shipped, own):
        if not isinstance(source, list):
            raise DataError(f"requirements: {source!r} is not a list")
        seen: set[str] = set()
        for number, data in enumerate(source):
            name = _name_of(data, number)
            if name in seen:
                raise DataError(f"requirement {name!r}: id: {name!r} is given twice")
            seen.add(name)
            _choice(name, "state", data.get("state", "present"), ("present", "absent"))
            if data.get("state") == "absent":
                if name not in result:
                    raise _fail(name, "state", "absent", f"removes nothing; {nearest(name, result)}")
                del result[name]
                continue
            check(data, name)
            result[name] = data
    return list(result.values())


def profile_names(requirements: Iterable[Requirement]) -> set[str]:
    """Return the profiles that at least one requirement serves."""
    return {profile for data in requirements for profile in data["profiles"]}


def _sum_key(data: Requirement) -> str:
    where = ",".join(f"{key}={value}" for key, value in sorted(data.get("where", {}).items()))
    return " ".join(filter(None, [data["fact"], data.get("at", ""), data.get("aggregate", ""), where]))


def of_host(requirements: Iterable[Requirement], profiles: Iterable[str]) -> list[Requirement]:
    """Return what a host with these profiles must meet.

    Services on one host share it: where more than one profile asks for an amount of the same thing with `combine: sum`,
    one further requirement asks for the sum. Its tolerance and severity are those of the strictest addend.
    """
    wanted = set(profiles)
    mine = [data for data in requirements if wanted & set(data["profiles"])]
    groups: dict[str, list[Requirement]] = {}
    for data in mine:
        if data.get("combine") == "sum" and not data.get("applies_when"):
            groups.setdefault(_sum_key(data), []).append(data)
    return mine + [_sum(group) for group in groups.values() if len(group) > 1]


def _sum(group: list[Requirement]) -> Requirement:
    first = group[0]
    scales = units.UNITS[FACTS[first["fact"]].dimension] or {"": 1}
    unit = first.get("unit", "")
    total = sum(data["value"] * scales[data.get("unit", "")] for data in group) / scales[unit]
    result: Requirement = {
        key: first[key] for key in ("fact", "at", "where", "aggregate", "operator", "unit") if key in first
    }
    place = f" at {first['at']}" if "at" in first else ""
    addends = ", ".join(f"{data['id']} {units.shown(data['value'], data.get('unit', ''))}" for data in group)
    result.update(
        id=f"{TOGETHER}{_sum_key(first)}",
        profiles=sorted({profile for data in group for profile in data["profiles"]}),
        value=total,
        severity="fail" if any(data.get("severity", "fail") == "fail" for data in group) else "warn",
        tolerance_percent=min(data.get("tolerance_percent", 0) for data in group),
        title=f"All on this host together: {first['fact']}{place}",
        why=f"What shares a host adds up: {addends}.",
        remedy=first.get("remedy", "") or "Move one of the services to another host.",
    )
    return result
