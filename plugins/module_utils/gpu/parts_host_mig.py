# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MIG: which layouts there are for which GPUs, and the file that nvidia-mig-parted reads.

Profiles and counts are those of the file config-default.yaml that mig-parted ships. Its own config.yaml is made anew from
the hardware at every boot, so that a site's layouts need a file of their own.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import generation_of
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import nearest

PATH = "/etc/mlops-onprem/gpu/mig.yaml"
_DEVICE_KEYS = ("devices", "device-filter", "mig-enabled", "mig-devices")
_PROFILE = re.compile(r"[1-7](?:c\.[1-7])?g\.[0-9]{1,3}gb(?:[+-][a-z][a-z.]{0,20})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")


class Slices(NamedTuple):
    """A model's slices: profiles by name with how many of it one GPU holds, and those of the balanced layout."""

    profiles: dict[str, int]
    balanced: dict[str, int]


def _seven(one: int, two: int, four: int, whole: int) -> Slices:
    """Seven slices of computing and eight of memory; the sizes of one, two, four and eight of these, in GB."""
    return Slices(
        {
            f"1g.{one}gb": 7,
            f"1g.{two}gb": 4,
            f"2g.{two}gb": 3,
            f"3g.{four}gb": 2,
            f"4g.{four}gb": 1,
            f"7g.{whole}gb": 1,
        },
        {f"1g.{one}gb": 2, f"2g.{two}gb": 1, f"3g.{four}gb": 1},
    )


def _four(one: int, two: int, whole: int) -> Slices:
    profiles = {f"1g.{one}gb": 4, f"2g.{two}gb": 2, f"4g.{whole}gb": 1}
    return Slices(profiles, {f"1g.{one}gb": 2, f"2g.{two}gb": 1})


_MODELS = (
    (_four(6, 12, 24), ("20b7",)),
    (_four(24, 48, 96), ("2bb5",)),
    (_seven(5, 10, 20, 40), ("20b0", "20b1", "20f1", "20f6")),
    (_seven(10, 20, 40, 80), ("20b2", "20b5", "20f3", "20f5", "2322", "2324", "2330", "2331")),
    (_seven(12, 24, 47, 94), ("2321", "233a")),
    (_seven(12, 24, 48, 96), ("20b6", "2329", "233d", "2342")),
    (_seven(18, 35, 71, 141), ("2335", "233b")),
    (_seven(18, 36, 72, 144), ("2348",)),
    (_seven(23, 45, 90, 180), ("2901",)),
    (_seven(24, 47, 95, 189), ("2941",)),
)
# Slices by PCI id.
MODELS = {f"10de:{device}": slices for slices, devices in _MODELS for device in devices}


def _enabled(profiles: dict[str, int]) -> list[dict[str, Any]]:
    return [{"devices": "all", "mig-enabled": True, "mig-devices": profiles}]


def known(pci_ids: set[str]) -> dict[str, list[dict[str, Any]]]:
    """The layouts that need no file of the site, for a host with these GPUs.

    `all-disabled`, `all-enabled`, and for GPUs of one set of slices `all-<profile>` and `all-balanced`.
    """
    layouts: dict[str, list[dict[str, Any]]] = {
        "all-disabled": [{"devices": "all", "mig-enabled": False}],
        "all-enabled": _enabled({}),
    }
    kinds = {json.dumps(MODELS[name], sort_keys=True) if name in MODELS else None for name in pci_ids}
    if len(kinds) == 1 and None not in kinds:
        slices = MODELS[min(pci_ids)]
        layouts["all-balanced"] = _enabled(slices.balanced)
        layouts.update({f"all-{name}": _enabled({name: count}) for name, count in slices.profiles.items()})
    return layouts


def _whole(value: Any) -> bool:
    """Whether it is a whole number: `true` is one to Python, and none to people."""
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_entry(entry: Any, count: int | None) -> str | None:
    """What is wrong with one entry of a layout; `count` GPUs are on the host, None where that is not known."""
    if not isinstance(entry, dict):
        return f"is {entry!r} and not a dictionary"
    for key in entry:
        if key not in _DEVICE_KEYS:
            return f"has the key {key!r}, {nearest(key, _DEVICE_KEYS)}"
    devices = entry.get("devices")
    listed = isinstance(devices, list) and all(_whole(index) and index >= 0 for index in devices)
    if devices != "all" and not listed:
        return f"has devices {devices!r}: all, or a list of the indices of GPUs (mig-parted knows no PCI addresses)"
    if isinstance(devices, list) and count is not None and any(index >= count for index in devices):
        return f"has devices {devices!r}, and the host has {count} GPUs, which are counted from 0"
    if not isinstance(entry.get("mig-enabled"), bool):
        return f"has mig-enabled {entry.get('mig-enabled')!r}: true or false"
    profiles = entry.get("mig-devices", {})
    if not isinstance(profiles, dict):
        return f"has mig-devices {profiles!r}: profiles with how many of each, such as {{'1g.10gb': 7}}"
    for name, number in profiles.items():
        if not _PROFILE.fullmatch(str(name)):
            return f"has mig-devices {name!r}: profiles are such as 1g.10gb"
        if not _whole(number) or number < 1:
            return f"has mig-devices {name!r}: {number!r}, and not a number of 1 or more"
    if profiles and not entry["mig-enabled"]:
        return "has mig-devices, and mig-enabled is false"
    return None


def wrong(layouts: Any, count: int | None) -> str | None:
    """What is wrong with a site's layouts (gpu_driver_mig_config), in one sentence; None for nothing."""
    if not isinstance(layouts, dict):
        return f"gpu_driver_mig_config is {layouts!r} and not a dictionary of layouts."
    for name, entries in layouts.items():
        if not _NAME.fullmatch(str(name)):
            return f"gpu_driver_mig_config has a layout {name!r}: names are one word of letters, digits and .-_+."
        if not isinstance(entries, list) or not entries:
            return f"gpu_driver_mig_config: {name} is {entries!r} and not a list of entries."
        for number, entry in enumerate(entries, 1):
            reason = _wrong_entry(entry, count)
            if reason is not None:
                return f"gpu_driver_mig_config: {name}, entry {number}, {reason}."
    return None


def choose(layout: str, site: dict[str, Any], cards: list[dict[str, Any]]) -> str | Refusal:
    """The text of the file for mig-parted, with the site's layouts and the one that is wanted. JSON is YAML."""
    reason = wrong(site, len(cards) or None)
    if reason is not None:
        return Refusal(reason, "The form is that of mig-configs in mig-parted's files; see the README of the role.")
    layouts = dict(site)
    if layout not in layouts:
        others = known({str(card.get("pci_id")) for card in cards})
        if layout not in others:
            return Refusal(
                f"gpu_driver_mig: {layout!r} is no layout of this host's GPUs ({nearest(layout, [*others, *layouts])}).",
                "Name one of these, or write the layout into gpu_driver_mig_config.",
            )
        layouts[layout] = others[layout]
    return json.dumps({"version": "v1", "mig-configs": layouts}, indent=2) + "\n"


def has_none(card: dict[str, Any]) -> bool:
    """Whether a card certainly has no MIG: made before Ampere, or with another chip than the one for data centres."""
    identity = str(card.get("pci_id"))
    generation = generation_of(card)
    if generation == "Ampere":
        # GA100, the chip of A100, A800 and A30, has all ids of this block.
        return not identity.startswith("10de:20")
    return generation in ("Maxwell", "Pascal", "Volta", "Turing", "Ada Lovelace")
