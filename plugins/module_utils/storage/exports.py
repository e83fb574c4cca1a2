# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host exports by NFS: what can be wrong with the list, and the files that say it to the server."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import mounts, places
from ansible_collections.mlops.onprem.plugins.module_utils.storage.places import Mounted

FILE = "/etc/exports.d/mlops-onprem.exports"
CONFIGURATION = "/etc/nfs.conf.d/mlops-onprem.conf"
ORDER = "/etc/systemd/system/nfs-server.service.d/mlops-onprem.conf"
# The first line of the files.
MANAGED = "# Managed by mlops.onprem (role storage): changes are overwritten."
# exports(5), nfs.conf(5).
SECURITY = ("sys", "krb5", "krb5i", "krb5p")
SQUASH = {"root": "root_squash", "all": "all_squash", "none": "no_root_squash"}
# What `access`, `squash` and `security` say already.
OURS = {"ro", "rw", "root_squash", "no_root_squash", "all_squash", "no_all_squash", "sec"}
# The options of exports(5) that a list may add.
KNOWN = {
    "acl", "async", "sync", "secure", "insecure", "wdelay", "no_wdelay", "crossmnt", "nohide", "hide", "subtree_check",
    "no_subtree_check", "secure_locks", "insecure_locks", "auth_nlm", "no_auth_nlm", "no_acl", "mountpoint", "mp", "fsid",
    "pnfs", "no_pnfs", "security_label", "anonuid", "anongid", "xprtsec", "refer", "replicas",
}  # fmt: skip
# File systems without a number that survives a restart: their exports need fsid=.
UNSTABLE = ("tmpfs", "overlay", "ramfs", "fuse")
RDMA_PORT = 20049
_NAME = re.compile(r"@?[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
# For the argument spec of a module.
OPTIONS: dict[str, Any] = {
    "path": {"type": "str", "required": True},
    "clients": {"type": "list", "elements": "str", "required": True},
    "access": {"type": "str", "choices": ["ro", "rw"], "default": "rw"},
    "squash": {"type": "str", "choices": list(SQUASH), "default": "root"},
    "security": {"type": "list", "elements": "str", "default": ["sys"]},
    "options": {"type": "list", "elements": "str", "default": []},
}


def problems(
    items: list[dict[str, Any]],
    listen: list[str],
    versions: list[str],
    threads: int = 0,
    mounts: list[dict[str, Any]] | None = None,
) -> list[str]:
    """Return everything that is wrong with `storage_exports`, the server's addresses, versions and threads.

    `mounts` is `storage_mounts`: what is mounted from another server is not exported again.
    """
    found: list[str] = []
    if not items:
        return found
    seen: dict[str, str] = {}
    for index, item in enumerate(items):
        path = item["path"]
        where = f"storage_exports[{index}] ({path})"
        if not places.is_plain(path):
            found.append(f"{where}: give an absolute path without spaces, '.' and '..'")
            continue
        for other, there in seen.items():
            if path == other:
                found.append(f"{where}: {there} exports the same path; make them one entry with all clients")
            elif places.is_below(path, other) or places.is_below(other, path):
                found.append(
                    f"{where}: {there} overlaps it, and the narrower list of clients would not hold; "
                    "export directories that lie beside each other"
                )
        seen[path] = where
        for mount in mounts or []:
            if places.is_within(path, mount["path"]):
                found.append(f"{where}: it comes from {mount['source']}; let the clients mount it from there")
        found.extend(f"{where}: {problem}" for problem in _item(item))
    found.extend(_server(listen, versions, threads))
    return found


def _item(item: dict[str, Any]) -> Iterator[str]:
    if not item["clients"]:
        yield "clients is empty; name the networks that may mount it, as 10.0.0.0/24"
    for client in item["clients"]:
        yield from _client(client)
    for name in sorted({name for name in item["clients"] if item["clients"].count(name) > 1}):
        yield f"client {name} is named twice"
    if not item["security"]:
        yield "security is empty; give at least one of " + ", ".join(SECURITY)
    for kind in item["security"]:
        if kind not in SECURITY:
            yield f"security '{kind}' is not known; there are {', '.join(SECURITY)}"
    for option in item["options"]:
        name = option.split("=")[0]
        if name in OURS:
            yield f"option {option} is what access, squash or security say; set those"
        elif name not in KNOWN or re.search(r"[\s(),]", option):
            yield f"option '{option}' is none of exports(5)"


def _client(client: str) -> Iterator[str]:
    everybody = "it is everybody who reaches this host; name the networks of the clients, as 10.0.0.0/24"
    if "*" in client or "?" in client:
        yield (
            f"client '{client}': {everybody}"
            if client == "*"
            else (
                f"client '{client}' has a wildcard, which is held against names that the client's own DNS gives; name networks"
            )
        )
    elif "/" in client:
        try:
            network = ipaddress.ip_network(client, strict=False)
        except ValueError:
            yield f"client '{client}' is no network; write it as 10.0.0.0/24"
            return
        if network.prefixlen == 0:
            yield f"client '{client}': {everybody}"
        elif str(network.network_address) != client.split("/")[0].lower() and network.version == 4:
            yield f"client '{client}' is an address in a network; write {network}, or {client.split('/')[0]} for that host alone"
    elif re.fullmatch(r"[0-9.]+|.*:.*", client):
        try:
            ipaddress.ip_address(client)
        except ValueError:
            yield f"client '{client}' is no address; write it as 10.0.0.7"
    elif not _NAME.fullmatch(client):
        yield f"client '{client}' is neither a network, nor an address, nor a name"


def _server(listen: list[str], versions: list[str], threads: int) -> Iterator[str]:
    if not listen:
        yield "storage_nfs_listen_addresses is empty; name the addresses of this host that clients use"
    for address in listen:
        try:
            wild = ipaddress.ip_address(address).is_unspecified
        except ValueError:
            yield f"storage_nfs_listen_addresses has '{address}', which is no address"
            continue
        if wild:
            yield f"storage_nfs_listen_addresses has {address}, which is every network of the host; name the addresses that clients use"
    if "4.2" not in versions:
        yield "storage_nfs_versions lacks 4.2, which the role's own mounts use; add it"
    for version in versions:
        if version not in ("4.2", "3"):
            yield f"storage_nfs_versions has '{version}'; there are 4.2 and 3"
    if not 0 <= threads <= 4096:
        yield f"storage_nfs_threads is {threads}; give 1 to 4096, or 0 for 8 for each core"


def warnings(items: list[dict[str, Any]]) -> list[str]:
    """Return what is allowed and should be seen in the plan."""
    return [
        f"storage_exports[{index}] ({item['path']}): squash is none, so that root of "
        f"{', '.join(item['clients'])} is root on these files"
        for index, item in enumerate(items)
        if item["squash"] == "none"
    ]


def threads_for(wanted: int, cores: int) -> int:
    """Return how many threads the server runs: 8 for each core, at least 16 and at most 256, unless a number is given.

    A thread that waits for a disk serves nobody else. The kernel's own default is 8 in all.
    """
    return wanted or min(256, max(16, 8 * cores))


def entries(items: list[dict[str, Any]], pool_mounts: list[str]) -> list[dict[str, Any]]:
    """Return path, clients and options of each export. `pool_mounts` are the mount points that must be there.

    With `mountpoint`, an export whose disk failed to mount is not served: clients would write to the root disk.
    """
    found = []
    for item in items:
        names = {option.split("=")[0] for option in item["options"]}
        options = [item["access"]]
        if not names & {"sync", "async"}:
            options.append("sync")
        if not names & {"subtree_check", "no_subtree_check"}:
            options.append("no_subtree_check")
        options += [SQUASH[item["squash"]], "sec=" + ":".join(item["security"])]
        above = [mount for mount in pool_mounts if places.is_within(item["path"], mount)]
        if above and not names & {"mountpoint", "mp"}:
            options.append(f"mountpoint={max(above, key=len)}")
        found.append(
            {"path": item["path"], "clients": list(item["clients"]), "options": options + list(item["options"])}
        )
    return found


def text(items: list[dict[str, Any]], pool_mounts: list[str]) -> str:
    """Return the file below /etc/exports.d; empty where nothing is exported."""
    if not items:
        return ""
    lines = [MANAGED]
    for entry in entries(items, pool_mounts):
        options = ",".join(entry["options"])
        lines.append(" ".join([entry["path"], *(f"{client}({options})" for client in entry["clients"])]))
    return "\n".join(lines) + "\n"


def order(items: list[dict[str, Any]], pool_mounts: list[str]) -> str:
    """Return the drop-in that has the server start after the pools that it serves; empty where it serves none.

    Before them, clients would get errors from a server whose disks come late, in place of waiting for it. nfs-utils sees to that
    for exports without `mountpoint` alone (nfs-server-generator), and lets one missing disk keep the server from starting.
    """
    served = {
        mount
        for item in items
        for mount in pool_mounts
        if places.is_within(item["path"], mount) or places.is_below(mount, item["path"])
    }
    if not served:
        return ""
    return "\n".join(
        [
            MANAGED,
            "[Unit]",
            *(f"After={mounts.unit(mount, 'mount')}" for mount in sorted(served)),
            "",
        ]
    )


def configuration(listen: list[str], versions: list[str], threads: int, rdma: bool) -> str:
    """Return the server's part of the file below /etc/nfs.conf.d (nfs.conf(5))."""
    return "\n".join(
        [
            "[nfsd]",
            f"threads={threads}",
            f"host={','.join(listen)}",
            "tcp=y",
            "udp=n",
            # Version 2 is gone from the kernel, and rpc.mountd would listen on all addresses for it.
            "vers2=n",
            f"vers3={'y' if '3' in versions else 'n'}",
            "vers4=y",
            "vers4.0=n",
            "vers4.1=n",
            f"vers4.2={'y' if '4.2' in versions else 'n'}",
            *(["rdma=y", f"rdma-port={RDMA_PORT}"] if rdma else []),
            "",
            "[mountd]",
            "# With y, only groups count that the server itself knows a user to be in, and a client's own are dropped.",
            "manage-gids=n",
            "",
        ]
    )


def look(
    items: list[dict[str, Any]],
    listen: list[str],
    rdma: bool,
    table: list[Mounted],
    made: list[str],
    pool_mounts: list[str],
) -> list[str]:
    """Return what the running host has against the exports.

    `made` are the directories and mount points that the role makes; `pool_mounts` those of the pools.
    """
    found = []
    for index, item in enumerate(items):
        where = f"storage_exports[{index}] ({item['path']})"
        mount = places.holder(item["path"], table)
        names = {option.split("=")[0] for option in item["options"]}
        planned = any(places.is_within(item["path"], path) for path in pool_mounts)
        if places.is_remote(mount) and not planned:
            found.append(
                f"{where}: it is on {mount.source if mount else ''}, which another server keeps; export it there"
            )
            continue
        if item["path"] not in made and not planned and not Path(item["path"]).is_dir():
            found.append(f"{where}: there is no such directory; add it to storage_directories")
        if mount and not planned and mount.type.startswith(UNSTABLE) and "fsid" not in names:
            found.append(f"{where}: {mount.type} has no number that NFS could know it by; add fsid=NUMBER to options")
        inner = sorted({path for path in pool_mounts if places.is_below(path, item["path"])})
        if inner and not names & {"crossmnt"}:
            found.append(
                f"{where}: {', '.join(inner)} is mounted below it, and clients would see an empty directory there; "
                "export that instead, or add crossmnt to options"
            )
        if any(kind != "sys" for kind in item["security"]) and not Path("/etc/krb5.keytab").exists():
            found.append(f"{where}: security {', '.join(item['security'])} needs the host's key in /etc/krb5.keytab")
    for address in listen if items else []:
        if not _is_ours(address):
            found.append(f"storage_nfs_listen_addresses has {address}, which is no address of this host")
    if items and rdma and not _has_rdma():
        found.append(
            "storage_nfs_rdma is true and the host has no RDMA device (/sys/class/infiniband); set it to false"
        )
    return found


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.bind((address, 0))
    except OSError:
        return False
    return True


def _has_rdma() -> bool:
    try:
        return any(Path("/sys/class/infiniband").iterdir())
    except OSError:
        return False
