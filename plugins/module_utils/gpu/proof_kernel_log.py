# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's log since it was started: NVIDIA's Xid messages, by what NVIDIA's catalogue says to do about them.

Source: "Analyzing Xid Errors with the Xid Catalog" on docs.nvidia.com, state of November 2026. A number whose first action
is to reset the GPU, to restart the machine, or to check cables is a fault. What asks for a restart of the program, or for
nothing, comes from programs or was mended: a warning.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, UNKNOWN, WARN, row

KMSG = "/dev/kmsg"
# The kernel's ring is at most some MiB; a file in its place may be anything.
LIMIT_BYTES = 16 * 1024 * 1024
XID_FAULTS = frozenset(
    (
        46,
        48,
        54,
        62,
        64,
        74,
        79,
        95,
        109,
        110,
        119,
        120,
        136,
        140,
        143,
        *range(144, 151),
        155,
        156,
        158,
        167,
        168,
        171,
        172,
    )
)
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})[^)]*\): ([0-9]{1,4}),?(.*)", re.I)
_SXID = re.compile(r"SXid \((?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})[^)]*\): ([0-9]{1,6}),?(.*)", re.I)
_HARMLESS = re.compile(r"non-?fatal", re.I)


def read(path: str = KMSG) -> str | None:
    """The kernel's messages; None where they cannot be read (no root, a container)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    messages: list[bytes] = []
    size = 0
    ring = stat.S_ISCHR(os.fstat(descriptor).st_mode)
    try:
        while size < LIMIT_BYTES:
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                break
            except BrokenPipeError:
                # The oldest messages were overwritten while this read: go on with those that are there.
                continue
            if not data:
                break
            messages.append(data)
            size += len(data)
    except OSError:
        # What cannot be read whole would look clean.
        return None
    finally:
        os.close(descriptor)
    return (b"\n" if ring else b"").join(messages).decode("utf-8", "replace")


def address_of(text: str) -> str:
    """`00000000:3B:00` as `0000:3b:00`."""
    domain, rest = text.lower().split(":", 1)
    return f"{int(domain, 16):04x}:{rest}"


def events(log: str) -> list[dict[str, Any]]:
    """kind (`Xid`, `SXid`), code, gpu (PCI address without its function), text, fault; each kind and code once a card."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in log.splitlines():
        for kind, pattern in (("Xid", _XID), ("SXid", _SXID)):
            match = pattern.search(line)
            if not match or (kind == "SXid" and "nvswitch" not in line.lower()):
                continue
            place, code, text = address_of(match.group(1)), int(match.group(2)), match.group(3).strip()[:200]
            event = found.setdefault(
                (kind, place, code),
                {"kind": kind, "code": code, "gpu": place, "text": text, "count": 0, "fault": False},
            )
            event["count"] += 1
            severe = code in XID_FAULTS if kind == "Xid" else True
            event["fault"] = event["fault"] or (severe and not _HARMLESS.search(text))
    return list(found.values())


def judge(log: str | None) -> list[dict[str, Any]]:
    """One row for each kind of event, or one that says that there was none."""
    if log is None:
        found = "the kernel's log (/dev/kmsg) cannot be read here"
        return [row("xid", UNKNOWN, found, remedy="Run this as root on the host itself")]
    rows = []
    for event in events(log):
        times = f" ({event['count']} times)" if event["count"] > 1 else ""
        told = f"{event['kind']} {event['code']}{times} since the kernel was started: {event['text'] or 'no text'}"
        mend = "Reboot the host and run this again. Where it comes back, the card or its slot is broken"
        if event["fault"]:
            rows.append(row("xid", FAIL, told, remedy=mend, gpu=event["gpu"]))
        else:
            rows.append(row("xid", WARN, f"{told} (of a program, or mended)", gpu=event["gpu"]))
    return rows or [row("xid", PASS, "no Xid in the kernel's log")]
