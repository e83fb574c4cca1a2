# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volume groups as `lvm fullreport` tells them; sizes in bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

ARGUMENTS = [
    "lvm", "fullreport", "--reportformat", "json", "--units", "b", "--nosuffix",
    "--configreport", "vg", "-o", "vg_name,vg_extent_size,vg_extent_count,vg_free_count",
    "--configreport", "pv", "-o", "pv_name,vg_name,pv_size,dev_size,pv_free,pv_missing",
    "--configreport", "lv", "-o", "lv_name,vg_name,lv_size,lv_layout,pool_lv,lv_active,data_percent",
    "--configreport", "pvseg", "-o", "pv_name",
    "--configreport", "seg", "-o", "lv_name,stripes",
]  # fmt: skip


@dataclass
class Volume:
    """A logical volume."""

    name: str
    size_bytes: int
    layout: str
    pool: str = ""
    active: bool = True
    stripes: int = 1
    data_percent: float = 0.0


@dataclass
class Member:
    """A physical volume: its path as LVM names it, its size in LVM, that of the device below, and what no volume has."""

    path: str
    size_bytes: int
    device_bytes: int
    missing: bool = False
    free_bytes: int = 0


@dataclass
class Group:
    """A volume group. name is empty for physical volumes that are in none."""

    name: str
    extent_bytes: int = 4 * 2**20
    extents: int = 0
    free_extents: int = 0
    members: list[Member] = field(default_factory=list)
    volumes: dict[str, Volume] = field(default_factory=dict)


def parse(text: str) -> dict[str, Group]:
    """Return the groups by name; physical volumes without a group are in the one with the name ""."""
    groups: dict[str, Group] = {}
    for report in json.loads(text).get("report", []):
        entry = (report.get("vg") or [{}])[0]
        name = entry.get("vg_name", "")
        group = groups.setdefault(name, Group(name))
        if name:
            group.extent_bytes = _number(entry, "vg_extent_size")
            group.extents = _number(entry, "vg_extent_count")
            group.free_extents = _number(entry, "vg_free_count")
        for member in report.get("pv", []):
            group.members.append(
                Member(
                    member["pv_name"],
                    _number(member, "pv_size"),
                    _number(member, "dev_size"),
                    bool(member.get("pv_missing")),
                    _number(member, "pv_free"),
                )
            )
        stripes: dict[str, int] = {}
        for segment in report.get("seg", []):
            # A volume that was grown has several segments, and not all of them need to be striped.
            owner = segment.get("lv_name", "")
            stripes[owner] = max(stripes.get(owner, 1), _number(segment, "stripes"))
        for volume in report.get("lv", []):
            group.volumes[volume["lv_name"]] = Volume(
                name=volume["lv_name"],
                size_bytes=_number(volume, "lv_size"),
                layout=volume.get("lv_layout", ""),
                pool=volume.get("pool_lv", ""),
                active=volume.get("lv_active", "active") == "active",
                stripes=stripes.get(volume["lv_name"], 1),
                data_percent=float(volume.get("data_percent") or 0),
            )
    return groups


def _number(entry: dict[str, Any], key: str) -> int:
    return int(float(entry.get(key) or 0))
