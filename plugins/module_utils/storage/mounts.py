# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems of other servers: what can be wrong with the list, their lines in fstab, and how they are mounted now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import places
from ansible_collections.mlops.onprem.plugins.module_utils.storage.fstab import Entry
from ansible_collections.mlops.onprem.plugins.module_utils.storage.places import Mounted

VERSIONS = ("4.2", "4.1", "4", "3")
RDMA_PORT = 20049
# How long a mount may take before whoever asked gets an error, and not a wait without end.
MOUNT_SECONDS = 30
# KiB that the client reads ahead. The kernel's default for NFS is 128 since Linux 5.4, 15 times less than before at its
# largest read; a sequential reader then waits for each request. nfsrahead(5) sets it as a mount appears.
READ_AHEAD_KIB = 15360
OURS = {"ro", "rw", "vers", "nfsvers", "nconnect", "proto", "rdma", "tcp", "udp", "port", "hard", "soft", "softerr", "defaults",
        "auto", "noauto", "_netdev", "nofail"}  # fmt: skip
_FREE = {"port", "soft", "softerr", "hard", "tcp"}
_SOURCE = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?):(/\S*)")
_OPTION = re.compile(r"[A-Za-z0-9_.-]+(=[^\s,\"'\\#]*)?")
_TYPE = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SYSTEM = re.compile(
    r"/(bin|boot|dev|etc|home|lib[0-9x]*|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)?|/(dev|etc|proc|run|sys|usr)/.*"
)
# For the argument spec of a module.
OPTIONS: dict[str, Any] = {
    "source": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "type": {"type": "str", "default": "nfs"},
    "access": {"type": "str", "choices": ["ro", "rw"], "default": "rw"},
    "version": {"type": "str", "default": "4.2"},
    "nconnect": {"type": "int", "default": 4},
    "rdma": {"type": "bool", "default": False},
    "options": {"type": "list", "elements": "str", "default": []},
}


def problems(items: list[dict[str, Any]], pool_mounts: list[str]) -> list[str]:
    """Return everything that is wrong with `storage_mounts`. `pool_mounts` are the mount points of the pools."""
    found: list[str] = []
    seen: dict[str, str] = {}
    connections: dict[tuple[str, str], tuple[str, int]] = {}
    for index, item in enumerate(items):
        path = item["path"]
        where = f"storage_mounts[{index}] ({path})"
        if not places.is_plain(path):
            found.append(f"{where}: give an absolute path without spaces, '.' and '..'")
        elif _SYSTEM.fullmatch(path):
            found.append(f"{where}: the system itself uses it; give a directory of its own, as /mnt/datasets")
        if path in seen:
            found.append(f"{where}: {seen[path]} is mounted there too; give each its own path")
        if path in pool_mounts:
            found.append(f"{where}: a pool of this host is mounted there; give another path")
        seen.setdefault(path, where)
        found.extend(f"{where}: {problem}" for problem in _item(item))
        match = _SOURCE.fullmatch(item["source"])
        if item["type"] == "nfs" and match and not item["rdma"]:
            key = (match.group(1), "3" if item["version"] == "3" else item["version"])
            there, number = connections.setdefault(key, (where, item["nconnect"]))
            if number != item["nconnect"]:
                found.append(
                    f"{where}: nconnect is {item['nconnect']} and {there} has {number}; mounts from one server share its "
                    "connections, so give both the same number"
                )
    return found


def _item(item: dict[str, Any]) -> Iterator[str]:
    names = [option.split("=")[0] for option in item["options"]]
    for option in item["options"]:
        if not _OPTION.fullmatch(option):
            yield f"option '{option}' cannot stand in fstab; give one option an entry, without spaces, commas and quotes"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"option {name} is given twice"
    if item["type"] != "nfs":
        if not _TYPE.fullmatch(item["type"]):
            yield f"type '{item['type']}' is no type of file system"
        elif item["type"] == "nfs4":
            yield "type is nfs4; write nfs, and the version as version"
        if re.search(r"\s", item["source"]) or not item["source"]:
            yield f"source '{item['source']}' is empty or has spaces"
        given = sorted({"ro", "rw"} & set(names))
        if given:
            yield f"option {given[0]} is what access says; set that"
        return
    if not _SOURCE.fullmatch(item["source"]):
        yield f"source '{item['source']}' has no server; write it as storage1:/srv/mlops/datasets"
    if item["version"] not in VERSIONS:
        yield f"version is {item['version']}; there are {', '.join(VERSIONS)}"
    if not 1 <= item["nconnect"] <= 16:
        yield f"nconnect is {item['nconnect']}; the kernel takes 1 to 16"
    for name in names:
        if name in OURS - _FREE or (name in ("port", "tcp") and item["rdma"]):
            yield f"option {name} is what access, version, nconnect or rdma say, or what the role sets; leave it out"
    if len({"soft", "softerr", "hard"} & set(names)) > 1:
        yield "options hold more than one of hard, soft and softerr"
    if {"soft"} & set(names) and item["access"] == "rw":
        yield "option soft with access rw loses writes while the server is away; use softerr, or leave it out"


def options(item: dict[str, Any]) -> list[str]:
    """Return the options of the line in fstab.

    The automount unit mounts at the first access, so that a host boots without its server, and mounts again after it was
    away. `hard` lets programs wait for a server that restarts; with any other choice they get errors in the middle of a file.
    """
    found = [item["access"]]
    names = {option.split("=")[0] for option in item["options"]}
    if item["type"] == "nfs":
        found.append(f"vers={item['version']}")
        if not names & {"soft", "softerr", "hard"}:
            found.append("hard")
        if item["rdma"]:
            found += ["proto=rdma", f"port={RDMA_PORT}"]
        elif item["nconnect"] > 1:
            found.append(f"nconnect={item['nconnect']}")
    found += item["options"]
    if "noatime" not in names and "relatime" not in names:
        found.append("noatime")
    found += ["_netdev", "nofail", "x-systemd.automount", f"x-systemd.mount-timeout={MOUNT_SECONDS}s"]
    return list(dict.fromkeys(found))


def unit(path: str, ending: str = "automount") -> str:
    """Return the name of the systemd unit of a mount point (systemd.unit(5), "String Escaping")."""
    text = "/".join(part for part in path.split("/") if part)
    escaped = re.sub(r"^\.|[^A-Za-z0-9:_./]", lambda match: _hex(match.group(0)), text).replace("/", "-")
    return f"{escaped or '-'}.{ending}"


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _mounted_otherwise(item: dict[str, Any], mount: Mounted) -> list[str]:
    """Return what a mounted file system has other than wanted, of what mountinfo tells."""
    found = []
    if mount.source.rstrip("/") != item["source"].rstrip("/"):
        found.append(f"it is {mount.source}")
    if item["access"] not in mount.options:
        found.append(f"it is not mounted {item['access']}")
    if item["type"] == "nfs":
        given = {name: value for name, _equals, value in (option.partition("=") for option in mount.options)}
        if given.get("vers", "") != item["version"] and not (
            item["version"] == "4" and given.get("vers", "").startswith("4")
        ):
            found.append(f"its version is {given.get('vers', 'unknown')}")
        if ("rdma" in given.get("proto", "")) != item["rdma"]:
            found.append(f"its protocol is {given.get('proto', 'unknown')}")
        if not item["rdma"] and int(given.get("nconnect", "1") or 1) != item["nconnect"]:
            found.append(f"nconnect is {given.get('nconnect', '1')} (the first mount from a server decides)")
    return found


def look(items: list[dict[str, Any]], table: list[Mounted], fstab: dict[str, Entry]) -> dict[str, Any]:
    """Return what differs on the running host, and what is in the way.

    `table` is mountinfo, `fstab` that file's entries by mount point. `fstab` of the answer has the lines to write, `remount` what
    is mounted with other options than wanted, `units` all automount units, `there` what is in fstab or mounted at all, `problems`
    what makes it impossible. Nothing below a mount of another server is asked, since that may wait for ever.
    """
    answer: dict[str, Any] = {"fstab": [], "remount": [], "units": [], "there": [], "problems": []}
    for index, item in enumerate(items):
        where = f"storage_mounts[{index}] ({item['path']})"
        wanted = options(item)
        answer["units"].append(unit(item["path"]))
        if fstab.get(item["path"]) != Entry(item["source"], item["path"], item["type"], tuple(wanted)):
            answer["fstab"].append(
                {"source": item["source"], "path": item["path"], "type": item["type"], "options": ",".join(wanted)}
            )
        if item["path"] in fstab or any(mount.path == item["path"] for mount in table):
            answer["there"].append({"path": item["path"], "unit": unit(item["path"])})
        here = [mount for mount in table if mount.path == item["path"] and mount.type != "autofs"]
        if here:
            otherwise = _mounted_otherwise(item, here[-1])
            same_type = here[-1].type in (item["type"], item["type"] + "4")
            if not same_type:
                answer["problems"].append(
                    f"{where}: {here[-1].source} ({here[-1].type}) is mounted there; unmount it first"
                )
            elif otherwise:
                answer["remount"].append(
                    {"path": item["path"], "unit": unit(item["path"], "mount"), "why": "; ".join(otherwise)}
                )
        elif not any(mount.path == item["path"] for mount in table):
            answer["problems"].extend(f"{where}: {problem}" for problem in _mount_point(item["path"], table))
        if item["type"] != "nfs" and not _can_mount(item["type"]):
            answer["problems"].append(
                f"{where}: the host cannot mount {item['type']}: there is neither mount.{item['type']} nor a kernel module; "
                "install its client first"
            )
    return answer


def _mount_point(path: str, table: list[Mounted]) -> Iterator[str]:
    if places.is_remote(places.holder(path, table)):
        return
    try:
        with os.scandir(path) as entries:
            names = [entry.name for _number, entry in zip(range(3), entries)]
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"the mount point cannot be used: {error.strerror}"
        return
    if names:
        yield f"the mount point is not empty ({', '.join(sorted(names))}); move that away, since the mount would hide it"


def _can_mount(kind: str) -> bool:
    if any(Path(folder, f"mount.{kind}").exists() for folder in ("/sbin", "/usr/sbin", "/usr/local/sbin")):
        return True
    try:
        known = Path("/proc/filesystems").read_text(encoding="utf-8").split()
        modules = Path(f"/lib/modules/{os.uname().release}/modules.dep")
        return kind in known or f"/{kind}.ko" in modules.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def rpcbind_users(table: list[Mounted], fstab: dict[str, Entry], ours: list[str]) -> list[str]:
    """Return who needs rpcbind besides this role: mounts of NFS 3 by others (`ours` are our paths), and NIS."""
    found = [
        f"{mount.path} is mounted with NFS 3"
        for mount in table
        if mount.type == "nfs" and "vers=3" in mount.options and mount.path not in ours
    ]
    for path, entry in fstab.items():
        if entry.type == "nfs" and {"vers=3", "nfsvers=3"} & set(entry.options) and path not in ours:
            found.append(f"{path} is in /etc/fstab with NFS 3")
    found += [f"{name} (NIS) is installed" for name in ("ypbind", "ypserv") if Path(f"/usr/sbin/{name}").exists()]
    return sorted(set(found))


def configuration() -> str:
    """Return the client's part of the file below /etc/nfs.conf.d (nfsrahead(5))."""
    return f"[nfsrahead]\nnfs={READ_AHEAD_KIB}\nnfs4={READ_AHEAD_KIB}\n"
