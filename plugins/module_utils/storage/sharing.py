# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of the role that lies above the file systems of the pools: directories, exports and mounts of other servers, in one look."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import MOUNTINFO, TABLE_LIMIT_BYTES
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree
from ansible_collections.mlops.onprem.plugins.module_utils.storage import (
    directories,
    exports,
    fstab,
    mounts,
    places,
    projects,
    sizes,
)

# The parameters of the module that calls this, all without the role's prefix.
OPTIONS: dict[str, Any] = {
    "directories": {"type": "list", "elements": "dict", "default": [], "options": directories.OPTIONS},
    "group": {"type": "str", "default": ""},
    "gid": {"type": "int", "default": 0},
    "exports": {"type": "list", "elements": "dict", "default": [], "options": exports.OPTIONS},
    "nfs_versions": {"type": "list", "elements": "str", "default": ["4.2"]},
    "nfs_listen_addresses": {"type": "list", "elements": "str", "default": []},
    "nfs_threads": {"type": "int", "default": 0},
    "nfs_rdma": {"type": "bool", "default": False},
    "mounts": {"type": "list", "elements": "dict", "default": [], "options": mounts.OPTIONS},
}


def problems(given: dict[str, Any], pool_mounts: list[str]) -> list[str]:
    """Return what is wrong with the input, before any host is looked at. `pool_mounts` are the mount points of the pools."""
    return [
        *directories.problems(given["directories"], given["mounts"]),
        *exports.problems(
            given["exports"],
            given["nfs_listen_addresses"],
            given["nfs_versions"],
            given["nfs_threads"],
            given["mounts"],
        ),
        *mounts.problems(given["mounts"], pool_mounts),
    ]


def without(given: dict[str, Any]) -> dict[str, Any]:
    """Return the input of a host from which all of it goes: directories stay, what was set on them does not."""
    bare = [{**item, "immutable": False, "quota": "", "retention": ""} for item in given["directories"]]
    return {**given, "directories": bare, "exports": []}


def look(given: dict[str, Any], pools: dict[str, str], tree: Tree | None = None) -> dict[str, Any]:
    """Return what the running host has against the (valid) input; only differences, and the texts of the role's files.

    `pools` has the type of each file system of the pools by mount point. The keys are those of `directories.look`, and

    - `group`: whether the group has to be made
    - `fstab`, `remount`, `automounts` and `mounted`: `fstab`, `remount`, `units` and `there` of `mounts.look`
    - `exported`: path, clients and options of each export; `served`: the addresses, versions, threads and RDMA of the server
    - `leftover`: whether files of an NFS server are there that nobody wants any more
    - `rpcbind`: who needs rpcbind: `ours` for NFS 3 of this role, or the reason of another
    - `texts`: the files' contents by path, empty for a file that must not be there
    - `written`: whether the file of exports says what it shall
    - `problems` and `warnings`
    """
    tree = tree or Tree("/")
    table = places.parse(tree.text(MOUNTINFO, TABLE_LIMIT_BYTES) or "")
    present = fstab.parse(tree.text(fstab.PATH, MIB))
    texts = {"projects": _whole(tree, projects.PROJECTS), "projid": _whole(tree, projects.PROJID)}
    answer = directories.look(given["directories"], table, pools, (given["group"], given["gid"]), texts)
    client = mounts.look(given["mounts"], table, present)
    made = [*(item["path"] for item in given["directories"]), *pools]
    threads = exports.threads_for(given["nfs_threads"], os.cpu_count() or 1)
    answer["problems"] = [
        *directories.group_problems(given["group"], given["gid"]),
        *directories.account_problems(given["directories"], given["group"]),
        *answer["problems"],
        *exports.look(given["exports"], given["nfs_listen_addresses"], given["nfs_rdma"], table, made, list(pools)),
        *client["problems"],
    ]
    answer["warnings"] = exports.warnings(given["exports"])
    answer["group"] = directories.group_is_missing(given["group"])
    answer["fstab"], answer["remount"], answer["automounts"] = client["fstab"], client["remount"], client["units"]
    answer["mounted"] = client["there"]
    answer["exported"] = exports.entries(given["exports"], list(pools))
    answer["served"] = {
        "addresses": given["nfs_listen_addresses"],
        "versions": given["nfs_versions"],
        "threads": threads,
        "rdma": given["nfs_rdma"],
    }
    answer["leftover"] = not given["exports"] and (
        tree.exists(exports.FILE) or "[nfsd]" in (tree.text(exports.CONFIGURATION) or "")
    )
    version3 = any(item["type"] == "nfs" and item["version"] == "3" for item in given["mounts"])
    answer["rpcbind"] = (["ours"] if version3 or (given["exports"] and "3" in given["nfs_versions"]) else []) + (
        mounts.rpcbind_users(table, present, [item["path"] for item in given["mounts"]])
    )
    answer["texts"] = {
        directories.TMPFILES: directories.retention(given["directories"]),
        exports.FILE: exports.text(given["exports"], list(pools)),
        exports.ORDER: exports.order(given["exports"], list(pools)),
        exports.CONFIGURATION: _configuration(given, threads),
    }
    answer["written"] = (_whole(tree, exports.FILE) or "") == answer["texts"][exports.FILE]
    return answer


def rows(answer: dict[str, Any], given: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return what differs as lines of the plan's table: what, wanted, found, action."""
    found = []
    if answer["group"]:
        found.append((f"group of users {given['group']}", f"number {given['gid']}", "nothing", "make"))
    for item in answer["directories"]:
        found.append((f"directory {item['path']}", f"{item['owner']}:{item['group']} {item['mode']}", "not so", "make"))
    for item in answer["quotas"]:
        found.append((f"quota {item['path']}", sizes.shown(item["limit"]), "not so", "set"))
    for item in answer["dropped"]:
        found.append((f"quota {item['path']}", "none", "set", "drop"))
    for key, flag in (("thaw", "changeable"), ("freeze", "immutable")):
        found.extend((f"files in {path}", flag, "not so", "set") for path in answer[key])
    if not answer["written"]:
        for item in answer["exported"]:
            wanted = f"{' '.join(item['clients'])}: {','.join(item['options'])}"
            found.append((f"export {item['path']}", wanted, "not so", "export"))
        if not answer["exported"]:
            found.append(("exports", "none", exports.FILE, "withdraw"))
    for item in answer["fstab"]:
        found.append((f"mount {item['path']}", f"{item['source']}: {item['options']}", "not so in fstab", "write"))
    return found


def _configuration(given: dict[str, Any], threads: int) -> str:
    """Return the file below /etc/nfs.conf.d: the server's part, the client's part, both or nothing."""
    parts = []
    if given["exports"]:
        parts.append(
            exports.configuration(given["nfs_listen_addresses"], given["nfs_versions"], threads, given["nfs_rdma"])
        )
    if any(item["type"] == "nfs" for item in given["mounts"]):
        parts.append(mounts.configuration())
    return "\n".join([exports.MANAGED, *parts]) if parts else ""


def _whole(tree: Tree, path: str) -> str:
    """Return a file as it is, with its line ends; empty where it is not there."""
    return (tree.data(path, MIB) or b"").decode("utf-8", "surrogateescape")
