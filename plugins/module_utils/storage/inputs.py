# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with `storage_pools` before any host is looked at. Every problem is a sentence: where, what, how to mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import nearest
from ansible_collections.mlops.onprem.plugins.module_utils.storage import sizes

# The smallest number of disks that mdadm makes a level of.
LEAST_DISKS = {0: 2, 1: 2, 5: 3, 6: 4, 10: 2}
MEDIA = ("nvme", "ssd", "hdd", "virtual")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")
# Names that lvm keeps for itself (lvm(8), VALID NAMES).
_LVM_NAMES = re.compile(
    r"snapshot|pvmove|.*_(cdata|cmeta|corig|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin)"
)
_LASTING = re.compile(r"/dev/disk/by-(id|path|partuuid)/[^/\s]+")
_MOUNT = re.compile(r"(/[A-Za-z0-9._@+:-]+)+")
# A system's own directories: a file system over one of these hides what the system needs.
_SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|lib[0-9x]*|proc|root|run|sbin|sys|tmp|usr|var)?|/(boot|dev|etc|proc|run|sys|usr)/.*|/var/(lib|log|cache|tmp)"
)
THIN_POOL_MOST_PERCENT = 95
RULE_KEYS = {"kind", "min_size", "max_size", "model", "numa_node", "count"}


def problems(pools: list[dict[str, Any]]) -> list[str]:
    """Return everything that is wrong with the list, in its order."""
    found: list[str] = []
    names: dict[str, str] = {}
    mounts: dict[str, str] = {}
    for index, pool in enumerate(pools):
        where = f"storage_pools[{index}] ({pool['name']})"
        if not _NAME.fullmatch(pool["name"]):
            found.append(f"{where}: the name must be a letter and at most 19 more letters, digits or underscores")
        if pool["name"] in names:
            found.append(f"{where}: {names[pool['name']]} has the same name; give each pool its own")
        names.setdefault(pool["name"], where)
        found.extend(f"{where}: {problem}" for problem in _devices(pool))
        found.extend(f"{where}: {problem}" for problem in _raid(pool))
        found.extend(f"{where}: {problem}" for problem in _volumes(pool))
        for place, mount in mount_points(pool):
            here = f"{where}{place}"
            if mount != "/" and not _MOUNT.fullmatch(mount) or "/../" in mount + "/" or "/./" in mount + "/":
                found.append(f"{here}: mount is '{mount}'; give an absolute path without spaces, '.' and '..'")
            elif _SYSTEM.fullmatch(mount):
                found.append(
                    f"{here}: mount is {mount}, which the system itself uses; give a directory of its own, as /srv/mlops/datasets"
                )
            elif mount in mounts:
                found.append(f"{here}: {mounts[mount]} is mounted at {mount} too; give each its own")
            mounts.setdefault(mount, here)
    return found


def mount_points(pool: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (where in the pool, mount point without a slash at its end) of each file system."""
    if pool.get("volumes"):
        for volume in pool["volumes"]:
            yield f", volume {volume['name']}", _place(volume["mount"])
    elif pool.get("mount"):
        yield "", _place(pool["mount"])


def _place(mount: str) -> str:
    return mount[:-1] if mount.endswith("/") and mount != "/" else mount


def _devices(pool: dict[str, Any]) -> Iterator[str]:
    if not pool["devices"]:
        yield "devices is empty; name at least one disk"
    seen = set()
    for device in pool["devices"]:
        if isinstance(device, str):
            if not _LASTING.fullmatch(device):
                yield (
                    f"device '{device}' may name another disk after the next boot; give its path below /dev/disk/by-id/ "
                    "(ls -l /dev/disk/by-id), or {serial: NUMBER}"
                )
        elif not isinstance(device, dict) or len(device) != 1 or set(device) - {"serial", "select"}:
            yield f"device {device!r} is neither a path below /dev/disk/, nor {{serial: …}}, nor {{select: …}}"
        elif "serial" in device:
            if device["serial"] is None or not str(device["serial"]).strip():
                yield "a device has an empty serial"
        else:
            yield from _rule(device["select"])
        # A serial may be written as a number or as text.
        key = said(device)
        if key in seen and not (isinstance(device, dict) and "select" in device):
            yield f"device {said(device)} is named twice"
        seen.add(key)


def said(device: Any) -> str:
    """How messages name an entry of `devices`."""
    if isinstance(device, dict):
        key, value = next(iter(device.items()), ("", ""))
        if key == "select" and isinstance(value, dict):
            return "select " + ", ".join(f"{name} {wanted}" for name, wanted in value.items())
        return f"{key} {value}"
    return str(device)


def _rule(rule: Any) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield f"select is {rule!r}; give it keys, as {{kind: nvme, min_size: 1.5 TB}}"
        return
    for key in sorted(set(rule) - RULE_KEYS):
        yield f"select has '{key}', which it does not know; {nearest(key, RULE_KEYS)}"
    if not {"kind", "min_size", "model"} & set(rule):
        yield "select would take every unused disk; add kind, min_size or model"
    if "kind" in rule and rule["kind"] not in MEDIA:
        yield f"select has kind '{rule['kind']}'; {nearest(rule['kind'], MEDIA)}"
    for key in ("min_size", "max_size"):
        if key in rule:
            yield from _size(rule[key], f"select's {key}")
    try:
        if sizes.to_bytes(rule.get("min_size", "0 B")) > sizes.to_bytes(rule.get("max_size", "1000000 PB")):
            yield f"select's min_size {rule['min_size']} is larger than its max_size {rule['max_size']}; no disk is both"
    except ValueError:
        # Told above.
        pass
    if "model" in rule:
        try:
            re.compile(str(rule["model"]))
        except re.error as error:
            yield f"select's model '{rule['model']}' is no regular expression: {error}"
    for key, least in (("count", 1), ("numa_node", 0)):
        if key in rule and not (isinstance(rule[key], int) and not isinstance(rule[key], bool) and rule[key] >= least):
            yield f"select's {key} is {rule[key]!r}; give a whole number of at least {least}"


def _raid(pool: dict[str, Any]) -> Iterator[str]:
    raid = pool.get("raid")
    if not raid:
        if not pool.get("volumes") and len(pool["devices"]) > 1:
            yield f"one file system cannot lie on {len(pool['devices'])} disks as they are; add raid, or volumes"
        return
    if raid["spares"] < 0:
        yield f"raid.spares is {raid['spares']}; give 0 or more"
    if raid["level"] == 0 and raid["spares"]:
        yield "raid.spares is set, and level 0 has no copy that a spare could be built from; leave it out"
    if raid.get("chunk_size"):
        if raid["level"] == 1:
            yield "raid.chunk_size is set, and level 1 has no chunks; leave it out"
        yield from _size(raid["chunk_size"], "raid.chunk_size")
        try:
            size = sizes.to_bytes(raid["chunk_size"])
        except ValueError:
            return
        if size < 4 * sizes.KIB or size & (size - 1):
            yield f"raid.chunk_size is {raid['chunk_size']}; give a power of two of at least 4 KiB"


def _volumes(pool: dict[str, Any]) -> Iterator[str]:
    volumes = pool.get("volumes") or []
    if not volumes:
        if not pool.get("mount"):
            yield "it has neither volumes nor mount; say what the disks are for"
        if pool.get("thin_pool_size"):
            yield "thin_pool_size is set and there are no volumes; leave it out"
        return
    if pool.get("mount"):
        yield "it has both volumes and a mount of its own; move mount to a volume"
    names = [volume["name"] for volume in volumes]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two volumes have the name {name}"
    shares, rests = 0.0, 0
    thin = [volume for volume in volumes if volume["layout"] == "thin"]
    for volume in volumes:
        here = f"volume {volume['name']}"
        if not _NAME.fullmatch(volume["name"]) or _LVM_NAMES.fullmatch(volume["name"]) or volume["name"] == "thinpool":
            yield f"{here}: the name must be a letter and at most 19 more letters, digits or underscores, and none of lvm's own"
        if volume["layout"] == "striped" and pool.get("raid"):
            yield f"{here}: layout striped goes over disks, and the group lies on one array; the array stripes already, so leave it out"
        if volume["size"] == "rest":
            rests += 1
            if volume["layout"] == "thin":
                yield f"{here}: size 'rest' is for volumes with space of their own; give a thin volume a size"
            continue
        share = sizes.percent(volume["size"])
        if share is None:
            yield from (f"{here}: {problem}" for problem in _size(volume["size"], "size", ", or 60%, or rest"))
        elif volume["layout"] == "thin":
            yield f"{here}: size is {volume['size']}; give a thin volume a size with a unit, as 500 GiB"
        elif not 0 < share <= 100:
            yield f"{here}: size is {volume['size']}; give more than 0% and at most 100%"
        else:
            shares += share
    if pool.get("thin_pool_size"):
        share = sizes.percent(pool["thin_pool_size"])
        if share is None:
            yield from _size(pool["thin_pool_size"], "thin_pool_size", ", or 80%")
        elif not 0 < share <= THIN_POOL_MOST_PERCENT:
            yield f"thin_pool_size is {pool['thin_pool_size']}; give more than 0% and at most {THIN_POOL_MOST_PERCENT}%, since its metadata needs the rest"
        else:
            shares += share
        if not thin:
            yield "thin_pool_size is set and no volume has layout thin; leave it out"
    elif thin:
        yield f"volume {thin[0]['name']} has layout thin; say with thin_pool_size how much space the thin volumes share"
    if shares > 100:
        yield f"the sizes add up to {shares:g}% of the group; make them 100% at most"
    if rests > 1:
        yield "more than one volume has size 'rest'; only one can have what the others leave"


def _size(text: Any, where: str, others: str = "") -> Iterator[str]:
    try:
        if sizes.to_bytes(text) <= 0:
            yield f"{where} is {text}; give more than nothing"
    except ValueError as error:
        yield f"{where}: {error}{others}"
