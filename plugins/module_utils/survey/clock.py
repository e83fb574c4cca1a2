# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock is kept right, by whom, and how far it is from the controller's."""

from __future__ import annotations

import re
import time
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

ADJTIMEX = "adjtimex(2)"
# The kernel's include/uapi/linux/timex.h.
STA_UNSYNC = 0x0040
TIME_ERROR = 5
# Process names, as the kernel cuts them.
SERVICES = {
    "chronyd": "chrony",
    "ntpd": "ntpd",
    "ntp-daemon": "ntpd-rs",
    "systemd-timesyn": "systemd-timesyncd",
    "ptp4l": "ptp4l",
    "phc2sys": "phc2sys",
    "openntpd": "openntpd",
}
TIMESYNC = "/run/systemd/timesync/synchronized"
LOCALTIME = "/etc/localtime"
ONLY_TASK = "measured by the task on the controller"


def verdict(state: int, status: int) -> bool:
    """Whether the kernel holds its clock for synchronised, by adjtimex's result and status, as adjtimex(2) has it."""
    return state != TIME_ERROR and not status & STA_UNSYNC


def ask_kernel() -> tuple[bool | None, str]:
    """(synchronised, reason for None). Mode 0 of adjtimex only reads and needs no root."""
    try:
        import ctypes

        class Timex(ctypes.Structure):
            # The fields up to the status; the kernel writes no more than the 512 bytes behind them.
            _fields_ = [
                ("modes", ctypes.c_uint),
                ("offset", ctypes.c_long),
                ("freq", ctypes.c_long),
                ("maxerror", ctypes.c_long),
                ("esterror", ctypes.c_long),
                ("status", ctypes.c_int),
                ("rest", ctypes.c_byte * 512),
            ]

        answer = Timex()
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(answer))
    except (ImportError, OSError, AttributeError) as error:
        return None, f"the C library cannot be asked: {type(error).__name__}"
    if state < 0:
        return None, "the kernel does not tell"
    return verdict(state, answer.status), ""


def read_synchronized(tree: Tree) -> bool | None:
    """The kernel's own answer, else that of systemd-timesyncd."""
    known, reason = ask_kernel() if tree.live else (None, "a recorded machine has no clock")
    if known is None and tree.exists(TIMESYNC):
        return True
    if known is None:
        tree.note("time.synchronized", ADJTIMEX, reason)
    return known


def read_timezone(tree: Tree) -> str | None:
    """The name of the time zone; without any setting it is UTC (localtime(5))."""
    place = tree.resolve(LOCALTIME) or ""
    match = re.search(r"/zoneinfo/(?:posix/|right/)?([A-Za-z0-9_+/-]{1,64})$", place)
    if match:
        return match.group(1)
    name = tree.text("/etc/timezone", 256)
    if name and re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", name):
        return name
    if tree.live and not tree.exists(LOCALTIME):
        return "UTC"
    tree.note("time.timezone", LOCALTIME, "it does not tell its name")
    return None


def read(tree: Tree, processes: dict[int, str] | None, started: float | None) -> dict[str, Any]:
    """The `time` facts. `started`: the host's clock when the survey began, in seconds since 1970 in UTC."""
    services = None
    if processes is None:
        tree.note("time.services", "/proc/<pid>/comm", "no process is shown")
    else:
        services = sorted({SERVICES[name] for name in processes.values() if name in SERVICES})
    facts: dict[str, Any] = {
        "synchronized": read_synchronized(tree),
        "services": services,
        "timezone": read_timezone(tree),
        "clock_utc": started if tree.live else None,
        "clock_utc_end": time.time() if tree.live else None,
        "offset_seconds": None,
        "offset_error_seconds": None,
    }
    for fact in ("clock_utc", "clock_utc_end"):
        if not tree.live:
            tree.note(f"time.{fact}", ADJTIMEX, "a recorded machine has no clock")
    for fact in ("offset_seconds", "offset_error_seconds"):
        tree.note(f"time.{fact}", "controller", ONLY_TASK)
    return facts


def compare(before: float, start: object, end: object, after: float) -> tuple[float, float] | None:
    """(offset, error) in seconds of the host's clock against the controller's; None where the host told no time.

    The four times are those of NTP (RFC 5905, section 8): the controller's before and after, the host's at the start
    and at the end between them. Offset = ((start - before) + (end - after)) / 2, positive for a host that is ahead; the
    true one is at most error = ((after - before) - (end - start)) / 2 away, however long the way or the work took.
    """
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
        return None
    offset = ((start - before) + (end - after)) / 2
    error = abs((after - before) - (end - start)) / 2
    return round(offset, 3), round(error, 3)


def add_offset(facts: object, before: float, after: float) -> None:
    """Fill the offset into `ansible_facts` as the module gave them, and take back why it was missing.

    Without a survey in them, as after a failure, nothing is done. `before`, `after`: the controller's clock.
    """
    survey = facts.get("mlops_survey") if isinstance(facts, dict) else None
    times = survey.get("time") if isinstance(survey, dict) else None
    if not isinstance(survey, dict) or not isinstance(times, dict):
        return
    found = compare(before, times.get("clock_utc"), times.get("clock_utc_end"), after)
    if found is None:
        return
    times["offset_seconds"], times["offset_error_seconds"] = found
    filled = ("time.offset_seconds", "time.offset_error_seconds")
    survey["unreadable"] = [entry for entry in survey.get("unreadable", []) if entry.get("fact") not in filled]
