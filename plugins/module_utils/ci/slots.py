# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the wished slots and the GPUs of a host to slots that share nothing. Knows no forge.

A GPU is a record with `index` (as the vendor's tool counts), `uuid`, `pci_address`, `vendor`, `nodes` (its own device files) and
`mig` (`enabled`, `instances` with `uuid` and `profile`); the keys of `accelerators` of M(hardware_facts), and two more. Where `index` is
missing, it is the place among the GPUs of that vendor: vendors' tools count by PCI address.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SLOT_NAME = re.compile(r"[a-z][a-z0-9-]{0,22}[a-z0-9]|[a-z]")
_SLOT_NAME_SAYS = (
    "a small letter, then small letters, digits and dashes, at most 24 (users, units and folders are named after it)"
)
_KEYS = ("name", "gpus", "labels", "concurrent", "token")


@dataclass(frozen=True)
class Device:
    """One GPU, or one MIG instance of it. `key` is what no two slots may share; `place` is how people find it."""

    key: str
    kind: str
    index: int
    vendor: str
    uuid: str
    pci_address: str
    nodes: tuple[str, ...]
    place: str


@dataclass
class Slot:
    name: str
    labels: list[str]
    concurrent: int
    devices: list[Device] = field(default_factory=list)
    token: str = ""


def devices(gpus: list[dict[str, Any]]) -> dict[str, list[Device]]:
    """Return, by index, what can be had of each GPU: itself, or its MIG instances where it is cut."""
    counted: dict[str, int] = {}
    found: dict[str, list[Device]] = {}
    for number, gpu in enumerate(gpus):
        vendor = str(gpu.get("vendor") or "unknown")
        index = gpu.get("index")
        index = counted.get(vendor, 0) if index is None else int(index)
        counted[vendor] = index + 1
        mig = gpu.get("mig") or {}
        address, uuid = str(gpu.get("pci_address") or ""), str(gpu.get("uuid") or "")
        nodes = tuple(gpu.get("nodes") or [])
        place = f"GPU {index}" + (f" at {address}" if address else "")
        if mig.get("enabled"):
            found[f"{index}" if f"{index}" not in found else f"{vendor}{index}"] = [
                Device(one["uuid"], "mig", index, vendor, one["uuid"], address, nodes, f"MIG {part} of {place}")
                for part, one in enumerate(mig.get("instances") or [])
                if one.get("uuid")
            ]
            continue
        key = uuid or address or f"{vendor} {number}"
        whole = Device(key, "gpu", index, vendor, uuid, address, nodes, place)
        found[f"{index}" if f"{index}" not in found else f"{vendor}{index}"] = [whole]
    return found


def expand(wished: Any, gpus: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return `per_gpu` or `per_mig` as a list of slots, and what is wrong; a list stays as it is."""
    if isinstance(wished, list):
        return wished, []
    if wished not in ("per_gpu", "per_mig"):
        return [], [f"ci_runner_slots is '{wished}'; use per_gpu, per_mig, or a list of slots"]
    there = devices(gpus)
    if not there:
        return [], [
            f"ci_runner_slots is {wished}, and this host has no GPU; for jobs without one, give [{{name: cpu, gpus: []}}]"
        ]
    slots, wrong = [], []
    for index, parts in there.items():
        name = index if not index.isdigit() else f"gpu{index}"
        cut = not parts or parts[0].kind == "mig"
        if not parts:
            wrong.append(
                f"ci_runner_slots is {wished}, and GPU {index} is in MIG mode without any instance; make instances, or leave the mode"
            )
        elif cut and wished == "per_gpu":
            wrong.append(
                f"ci_runner_slots is per_gpu, and GPU {index} is cut into {len(parts)} MIG instances; use per_mig, or a list of slots"
            )
        elif cut:
            slots += [{"name": f"{name}-mig{part}", "gpus": [one.key]} for part, one in enumerate(parts)]
        else:
            slots.append({"name": name, "gpus": [index]})
    return slots, wrong


def resolve(wished: list[Any], gpus: list[dict[str, Any]], labels: list[str]) -> tuple[list[Slot], list[str]]:
    """Return the slots with their devices, and everything that is wrong with them. `labels` are on all of them."""
    there = devices(gpus)
    slots: list[Slot] = []
    wrong: list[str] = []
    holders: dict[str, str] = {}
    for number, entry in enumerate(wished):
        where = f"ci_runner_slots[{number}]"
        problems = list(_shape(where, entry, [slot.name for slot in slots]))
        wrong += problems
        if problems:
            continue
        where = f"the slot '{entry['name']}'"
        slot = Slot(
            str(entry["name"]),
            list(dict.fromkeys([*labels, *(entry.get("labels") or [])])),
            int(entry.get("concurrent") or 1),
        )
        slot.token = str(entry.get("token") or "")
        for word in entry.get("gpus") or []:
            device, problem = _find(where, str(word), there)
            if device is None:
                wrong.append(problem)
            elif device.key in holders:
                holder = holders[device.key]
                again = "it names it twice" if holder == slot.name else f"the slot '{holder}' has it, too"
                wrong.append(
                    f"{where}: {device.place} can be in one slot only, and {again}; two jobs on one GPU take each other's memory"
                )
            else:
                holders[device.key] = slot.name
                slot.devices.append(device)
        if slot.devices and slot.concurrent != 1:
            wrong.append(
                f"{where}: concurrent is {slot.concurrent}, and a slot with a GPU runs one job at a time; make more slots instead"
            )
        slots.append(slot)
    return slots, wrong


def _shape(where: str, entry: Any, names: list[str]) -> Iterator[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        yield f"{where} must be a mapping with a name, such as {{name: gpu0, gpus: [0]}}"
        return
    for key in entry:
        if key not in _KEYS:
            yield f"{where} has the key '{key}'; there are {', '.join(_KEYS)}"
    name = entry["name"]
    if not SLOT_NAME.fullmatch(name):
        yield f"{where}: the name '{name}' cannot be used; it is {_SLOT_NAME_SAYS}"
    if name in names:
        yield f"{where}: there is a slot '{name}' already; names are for one slot each"
    for key in ("gpus", "labels"):
        if not isinstance(entry.get(key) or [], list):
            yield f"{where}: {key} must be a list"
    concurrent = entry.get("concurrent")
    if concurrent is not None and (
        isinstance(concurrent, bool) or not isinstance(concurrent, int) or not 1 <= concurrent <= 64
    ):
        yield f"{where}: concurrent is {concurrent}; it is a number from 1 to 64"


def _find(where: str, word: str, there: dict[str, list[Device]]) -> tuple[Device | None, str]:
    if word in there:
        parts = there[word]
        if len(parts) == 1 and parts[0].kind == "gpu":
            return parts[0], ""
        instances = ", ".join(one.key for one in parts) or "none yet"
        return None, f"{where}: GPU {word} is in MIG mode, and is used by its instances only ({instances})"
    every = [device for parts in there.values() for device in parts]
    for device in every:
        if word and word in (device.uuid, device.pci_address, device.key):
            return device, ""
    known = [*there, *(device.uuid for device in every if device.uuid)]
    if not known:
        return None, f"{where}: there is no GPU '{word}': this host has none"
    near = difflib.get_close_matches(word, known, 1)
    hint = f"; did you mean {near[0]}" if near and not word.isdigit() else ""
    return None, f"{where}: there is no GPU '{word}' on this host; it has {', '.join(known)}{hint}"
