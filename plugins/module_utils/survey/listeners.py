# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports are taken, and by whom: /proc/net of the kernel, and the open files of processes."""

from __future__ import annotations

import re
import socket
import sys
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

TABLES = {"tcp": ("/proc/net/tcp", "/proc/net/tcp6"), "udp": ("/proc/net/udp", "/proc/net/udp6")}
# The kernel's include/net/tcp_states.h: TCP_LISTEN; a bound UDP socket without a peer is TCP_CLOSE.
STATES = {"tcp": "0A", "udp": "07"}
# Listening sockets come first in the table, before all connections.
TABLE_LIMIT_BYTES = 16 * MIB
MAX_LISTENERS = 5000


class Listener(NamedTuple):
    """A bound socket; `inode` tells whose it is."""

    protocol: str
    address: str
    port: int
    uid: int
    inode: int


def parse_address(text: str) -> str | None:
    """The kernel's hexadecimal form (words in the machine's byte order) as usual; None for another form.

    An IPv4 address in IPv6 form becomes plain IPv4, since it is the same port.
    """
    if not re.fullmatch("[0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}", text):
        return None
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    data = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(data) == 4:
        return socket.inet_ntop(socket.AF_INET, data)
    if data[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, data[12:])
    return socket.inet_ntop(socket.AF_INET6, data)


def parse_table(text: str | None, protocol: str) -> list[Listener]:
    """The listening (TCP) or bound (UDP) sockets of one table; lines of another form are left out."""
    found = []
    for line in (text or "").splitlines():
        fields = line.split()
        if len(fields) < 10 or fields[3] != STATES[protocol]:
            continue
        place, _colon, port = fields[1].partition(":")
        address = parse_address(place)
        numbers = re.fullmatch("([0-9]{1,10}) ([0-9]{1,20})", f"{fields[7]} {fields[9]}")
        if address and numbers and re.fullmatch("[0-9A-Fa-f]{4}", port):
            uid, inode = numbers.groups()
            found.append(Listener(protocol, address, int(port, 16), int(uid), int(inode)))
            if len(found) >= MAX_LISTENERS:
                break
    return found


def owners(tree: Tree, inodes: set[int], processes: dict[int, str] | None) -> dict[int, int]:
    """The process that holds each socket, as far as this user may see it; of several the first, which is the parent."""
    found: dict[int, int] = {}
    for process in sorted(processes or {}):
        if len(found) == len(inodes):
            break
        for name in tree.names(f"/proc/{process}/fd"):
            match = re.fullmatch(r"socket:\[([0-9]{1,20})\]", tree.link_name(f"/proc/{process}/fd/{name}") or "")
            if match and int(match.group(1)) in inodes:
                found.setdefault(int(match.group(1)), process)
    return found


def read(tree: Tree, processes: dict[int, str] | None, root: bool) -> list[dict[str, Any]] | None:
    """The `listeners` facts, by port. `root`: whether this user may see the open files of all processes."""
    sockets: list[Listener] = []
    for protocol, (four, six) in TABLES.items():
        text = tree.text(four, TABLE_LIMIT_BYTES)
        if text is None and protocol == "tcp":
            tree.note("listeners", four, tree.reason(four))
            return None
        # Without IPv6 there is no second table, which is no error.
        sockets += parse_table(text, protocol) + parse_table(tree.text(six, TABLE_LIMIT_BYTES), protocol)
    holders = owners(tree, {item.inode for item in sockets}, processes)
    seen: dict[tuple[int, str, str], dict[str, Any]] = {}
    for item in sockets:
        process = holders.get(item.inode)
        record = {
            "protocol": item.protocol,
            "address": item.address,
            "port": item.port,
            "program": (processes or {}).get(process) if process is not None else None,
            "pid": process,
            "uid": item.uid,
        }
        kept = seen.setdefault((item.port, item.protocol, item.address), record)
        if kept["pid"] is None and process is not None:
            kept.update(record)
    if any(record["pid"] is None for record in seen.values()):
        why = "no process here holds it: the kernel does, or a container" if root else "permission denied: needs root"
        why = why if tree.live else "the open files of processes are not recorded"
        for field in ("program", "pid"):
            tree.note(f"listeners[].{field}", "/proc/<pid>/fd", why)
    return [seen[key] for key in sorted(seen)]
