# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories with owner, mode, quota and retention: what can be wrong with the list, and what differs on the host."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import inodes, places, projects, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.places import Mounted

TMPFILES = "/etc/tmpfiles.d/mlops-onprem-storage.conf"
# systemd.time(7), the units that a person writes here.
_RETENTION = re.compile(r"([1-9][0-9]{0,5})(min|h|d|w|month|y)")
_MODE = re.compile(r"[0-7]{4}")
# What lies directly below the root, and a few more, belongs to the system or to people.
_TOP = re.compile(
    r"/[^/]*|/home/[^/]+|/root/.*|/(bin|boot|dev|etc|lib[0-9x]*|proc|run|sbin|sys|usr)/.*|/var/(lib|log|spool|cache|mail|backups)(/[^/]+)?"
)
_SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|home|lib[0-9x]*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)?|/(bin|boot|dev|etc|lib[0-9x]*|proc|run|sbin|sys|usr)/.*"
)
# For the argument spec of a module.
OPTIONS: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0755"},
    "quota": {"type": "str", "default": ""},
    "immutable": {"type": "bool", "default": False},
    "retention": {"type": "str", "default": ""},
}


def problems(items: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> list[str]:
    """Return everything that is wrong with `storage_directories`. `mounts` is `storage_mounts`."""
    found: list[str] = []
    seen: dict[str, str] = {}
    for index, item in enumerate(items):
        path = item["path"]
        where = f"storage_directories[{index}] ({path})"
        if not places.is_plain(path):
            found.append(f"{where}: give an absolute path without spaces, '.' and '..'")
            continue
        if _SYSTEM.fullmatch(path):
            found.append(f"{where}: the system itself keeps it; give a directory below it, as /srv/mlops/datasets")
        if path in seen:
            found.append(f"{where}: {seen[path]} is the same path; make them one entry")
        for mount in mounts:
            if places.is_within(path, mount["path"]):
                found.append(f"{where}: it is on {mount['source']}; make it on that server")
        for other, there in seen.items():
            upper, lower = (other, path) if places.is_below(path, other) else (path, other)
            if places.is_below(lower, upper):
                above = next(entry for entry in items if entry["path"] == upper)
                if above.get("immutable"):
                    found.append(f"{where}: {upper} is immutable and so is all in it; leave one of the two out")
                elif above.get("quota") and next(entry for entry in items if entry["path"] == lower).get("quota"):
                    found.append(
                        f"{where}: {there} has a quota too, and one lies in the other; a file counts for one quota only"
                    )
        seen.setdefault(path, where)
        found.extend(f"{where}: {problem}" for problem in _item(item))
    return found


def _item(item: dict[str, Any]) -> Iterator[str]:
    yield from _mode(item["mode"])
    if item.get("quota"):
        try:
            if sizes.to_bytes(item["quota"]) < sizes.MIB:
                yield f"quota is {item['quota']}; give at least 1 MiB"
        except ValueError as error:
            yield f"quota: {error}"
    if item.get("retention"):
        if not _RETENTION.fullmatch(item["retention"]):
            yield f"retention is '{item['retention']}'; write a number and a unit, as 30d, 12h or 8w"
        if _TOP.fullmatch(item["path"]):
            yield "retention would remove files of the system or of people; set it on a directory of its own, as /srv/mlops/scratch"
        if item.get("immutable"):
            yield "it has retention and is immutable, so that nothing could be removed; choose one"


def _mode(mode: str) -> Iterator[str]:
    """Refuse what is no mode, and a number that YAML made of one: 0755 without quotes arrives as 493."""
    if not _MODE.fullmatch(mode):
        yield f'mode is {mode}; write four octal digits in quotes, as "0755"'
        return
    special, owner, group, others = (int(digit) for digit in mode)
    # 2775 without quotes arrives as 1533, 1777 as 1023: what YAML makes of a mode with a special bit never has an owner of 7.
    if group & ~owner or others & ~owner or (special and owner != 7):
        yield f'mode is {mode}, which gives others more than the owner; write four octal digits in quotes, as "2775"'


def account_problems(items: list[dict[str, Any]], made_group: str) -> list[str]:
    """Return the owners and groups that the host does not know. `made_group` is the one that the role makes."""
    found = []
    for index, item in enumerate(items):
        for key, known in (("owner", _uid), ("group", _gid)):
            name = item[key]
            if known(name) is None and not (key == "group" and name == made_group):
                found.append(
                    f"storage_directories[{index}] ({item['path']}): {key} '{name}' is not known on this host; "
                    f"make it first, or give its number"
                )
    return found


def _uid(name: str) -> int | None:
    try:
        return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _gid(name: str) -> int | None:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def group_problems(name: str, number: int) -> list[str]:
    """Return what keeps the role from making its group: the number or the name is taken otherwise."""
    if not name:
        return []
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", name):
        return [f"storage_group is '{name}'; use small letters, digits, '_' and '-', a letter first"]
    if not 1 <= number < 2**32 - 1:
        return [f"storage_gid is {number}; give a number from 1 to {2**32 - 2}"]
    try:
        found = grp.getgrnam(name).gr_gid
    except KeyError:
        found = None
    if found is not None and found != number:
        return [
            f"storage_gid is {number}, and the group {name} has {found} on this host; all hosts that share files need the same "
            "number: set storage_gid to it, or another storage_group"
        ]
    try:
        other = grp.getgrgid(number).gr_name
    except KeyError:
        return []
    if other != name:
        return [f"storage_gid is {number}, which is the number of the group {other} on this host; give another"]
    return []


def group_is_missing(name: str) -> bool:
    """Whether the role has to make its group."""
    return bool(name) and _gid(name) is None


def retention(items: list[dict[str, Any]]) -> str:
    """Return the file for systemd-tmpfiles (tmpfiles.d(5)); empty where nothing has a retention."""
    kept = [item for item in items if item.get("retention")]
    if not kept:
        return ""
    rows = [
        "# Managed by mlops.onprem (role storage): changes are overwritten. systemd-tmpfiles-clean.timer reads it daily."
    ]
    return "\n".join(rows + [f"e {item['path']} - - - {item['retention']}" for item in kept]) + "\n"


def look(
    items: list[dict[str, Any]],
    table: list[Mounted],
    pools: dict[str, str],
    group: tuple[str, int],
    texts: dict[str, str],
) -> dict[str, Any]:
    """Return what differs on the running host.

    `pools` has the type of each file system of the pools by its mount point; what lies below one that is not mounted yet
    counts as missing. `group` is the role's own, by name and number. `texts` has the text of /etc/projects and /etc/projid.

    The answer: `directories` to make or mend, paths to `thaw` and to `freeze` (the flag of the directory itself, set last,
    tells whether it is immutable), `quotas` to set, `dropped` quotas that the role once set and are wanted no more, `projects` and `projid` (the files' new
    text; None where it stays), and `problems`.
    """
    answer: dict[str, Any] = {"directories": [], "thaw": [], "freeze": [], "quotas": [], "dropped": [], "problems": []}
    mounted = {mount.path for mount in table}
    hidden = [path for path in pools if path not in mounted]
    wanted = {item["path"]: sizes.to_bytes(item["quota"]) for item in items if item.get("quota")}
    plan = projects.plan(sorted(wanted), texts["projects"], texts["projid"])
    for index, item in enumerate(items):
        where = f"storage_directories[{index}] ({item['path']})"
        path = item["path"]
        later = any(places.is_within(path, mount) for mount in hidden)
        mount = places.holder(path, table)
        if places.is_remote(mount) and not later:
            answer["problems"].append(f"{where}: it is on {mount.source if mount else ''}; make it on that server")
            continue
        state = None if later else inodes.read(path)
        if isinstance(state, str):
            answer["problems"].append(f"{where}: {state}")
            continue
        entry = {key: item[key] for key in ("path", "owner", "group", "mode")}
        if state is None or not _same(item, state, group):
            if state is not None and state.immutable and item["immutable"]:
                answer["problems"].append(
                    f"{where}: it is immutable, so that owner and mode cannot change; set immutable: false first"
                )
                continue
            answer["directories"].append(entry)
        if state is not None and state.immutable is None and item["immutable"]:
            answer["problems"].append(
                f"{where}: {mount.type if mount else 'its file system'} cannot make files immutable; leave immutable out"
            )
        elif item["immutable"] != bool(state and state.immutable):
            answer["freeze" if item["immutable"] else "thaw"].append(path)
        if path in wanted:
            top = _quota_mount(path, mount, pools)
            reason = _no_quota(path, top, table, pools)
            if reason:
                answer["problems"].append(f"{where}: quota needs {reason}")
                continue
            project = plan.ids[path]
            if state is None or state.project != project or projects.limit(top, table, project) != wanted[path]:
                answer["quotas"].append({"path": path, "name": path, "mount": top, "limit": wanted[path]})
    answer["dropped"] = [
        {"name": name, "path": name, "mount": mount.path}
        for name in plan.dropped
        for mount in [places.holder(name, table)]
        if mount is not None and mount.type == "xfs" and Path(name).is_dir()
    ]
    answer["projects"], answer["projid"] = plan.projects, plan.projid
    return answer


def _same(item: dict[str, Any], state: inodes.Inode, group: tuple[str, int]) -> bool:
    gid = _gid(item["group"])
    if gid is None and item["group"] == group[0]:
        gid = group[1]
    return (state.uid, state.gid, state.mode) == (_uid(item["owner"]), gid, int(item["mode"], 8))


def _quota_mount(path: str, mount: Mounted | None, pools: dict[str, str]) -> str:
    """Return where the file system will be mounted that the directory is on."""
    tops = [top for top in pools if places.is_within(path, top)]
    if mount is not None:
        tops.append(mount.path)
    return max(tops, key=len) if tops else "/"


def _no_quota(path: str, top: str, table: list[Mounted], pools: dict[str, str]) -> str:
    """Return what a quota on a directory lacks; empty where it can be set."""
    mount = next((mount for mount in reversed(table) if mount.path == top), None)
    if path == top:
        return f"a directory in {top}: the file system's own size is its limit already"
    if mount is None:
        return "" if pools.get(top) == "xfs" else f"xfs, and {top} is {pools.get(top, 'not mounted')}"
    if mount.type != "xfs":
        return f"xfs, and {top} is {mount.type}; put the directory on an xfs pool, or leave quota out"
    # A pool is mounted anew for it, before the quota is set.
    if top not in pools and not {"prjquota", "pquota"} & mount.options:
        return (
            f"{top} to be mounted with prjquota, which cannot be switched on while it is mounted: add prjquota to its mount options, "
            "unmount and mount it (for the root file system: rootflags=prjquota on the kernel's command line, and a reboot)"
        )
    return ""
