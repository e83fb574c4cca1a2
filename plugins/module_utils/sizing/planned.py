# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are not there yet, as data: what they will have, in the form of facts. What is not said stays unknown.

{name: gpu9, count: 2, profiles: [gpu_training], threads: 128, memory_gib: 1024, gpus: 8, gpu_class_gb: 80, network_gbps: 400,
 storage_tb: 15, storage_at: /srv}
"""

from __future__ import annotations

import math
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import GIB, GPU_CLASSES_GB

NUMBERS = ("count", "threads", "memory_gib", "gpus", "gpu_class_gb", "network_gbps", "storage_tb")
TEXTS = ("name", "architecture", "storage_at")
KEYS = (*TEXTS, *NUMBERS, "profiles")
MOST = {"count": 10_000, "gpus": 1024}


def _check(entry: object, position: int) -> dict[str, Any]:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise DataError(f"planned host number {position}: name: {name!r} is not a text")
    where = f"planned host {name!r}"
    for key, value in entry.items():
        if key not in KEYS:
            raise DataError(f"{where}: unknown key {key!r}; {nearest(key, KEYS)}")
        if key in NUMBERS:
            good = (
                isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
            )
            if not good or (key in ("count", "threads", "gpus") and value != int(value)):
                raise DataError(f"{where}: {key}: {value!r} is not a number of at least 0")
            if value > MOST.get(key, 1e9):
                raise DataError(f"{where}: {key}: {value!r} is more than {MOST.get(key, 1e9):g}")
        elif key in TEXTS and not isinstance(value, str):
            raise DataError(f"{where}: {key}: {value!r} is not a text")
    if entry.get("gpus") and "gpu_class_gb" not in entry:
        raise DataError(f"{where}: gpu_class_gb: is missing beside gpus; one of {', '.join(map(str, GPU_CLASSES_GB))}")
    if "gpu_class_gb" in entry and entry["gpu_class_gb"] not in GPU_CLASSES_GB:
        near = min(GPU_CLASSES_GB, key=lambda size: abs(size - entry["gpu_class_gb"]))
        raise DataError(f"{where}: gpu_class_gb: {entry['gpu_class_gb']!r} is not sold; did you mean {near}?")
    profiles = entry.get("profiles", [])
    if not isinstance(profiles, list) or not all(isinstance(profile, str) for profile in profiles):
        raise DataError(f"{where}: profiles: {profiles!r} is not a list of texts")
    if not entry.get("storage_at", "/").startswith("/"):
        raise DataError(f"{where}: storage_at: {entry['storage_at']!r} is not an absolute path")
    return entry


def _facts(entry: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "schema": 1,
        "system": {"architecture": entry.get("architecture", "x86_64"), "product": "planned"},
        "cpu": {"threads": entry.get("threads")},
        "memory": {"total_bytes": entry["memory_gib"] * GIB if "memory_gib" in entry else None},
        "accelerators": [{"memory_bytes": entry["gpu_class_gb"] * GIB} for _unused in range(int(entry.get("gpus", 0)))],
        "unreadable": [],
    }
    if "network_gbps" in entry:
        facts["network"] = [{"speed_mbps": entry["network_gbps"] * 1000}]
    if "storage_tb" in entry:
        space = entry["storage_tb"] * 10**12
        # One file system holds every path, as on a server with a single volume.
        facts["filesystems"] = [{"mount": entry.get("storage_at", "/"), "available_bytes": space, "size_bytes": space}]
    return facts


def planned_hosts(data: object) -> dict[str, dict[str, Any]]:
    """Return `{name: {facts, profiles, error, planned}}`; `count` above 1 makes name-1, name-2, ... Raises DataError."""
    if not isinstance(data, list):
        raise DataError(f"planned hosts: {data!r} is not a list")
    hosts: dict[str, dict[str, Any]] = {}
    for position, given in enumerate(data, start=1):
        entry = _check(given, position)
        count = int(entry.get("count", 1))
        for number in range(1, count + 1):
            name = entry["name"] if count == 1 else f"{entry['name']}-{number}"
            if name in hosts:
                raise DataError(f"planned host {name!r}: name: is given twice")
            hosts[name] = {
                "facts": _facts(entry),
                "profiles": list(entry.get("profiles", [])),
                "error": "",
                "planned": True,
            }
    return hosts
