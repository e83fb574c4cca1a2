# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of /etc/fstab, and what the kernel says of the options of a mount."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import plain

PATH = "/etc/fstab"


@dataclass(frozen=True)
class Entry:
    """What is mounted (`UUID=…`, a path), where, as what, how."""

    source: str
    mount: str
    type: str
    options: tuple[str, ...]


def parse(text: str | None) -> dict[str, Entry]:
    """Return the entries by mount point, the last one of several; comments and lines of another form are left out."""
    found = {}
    for line in (text or "").splitlines():
        fields = line.split()
        # Without a fourth field, mount(8) takes the defaults.
        if len(fields) >= 3 and not fields[0].startswith("#"):
            mount = plain(fields[1]).rstrip("/") or "/"
            options = fields[3] if len(fields) > 3 else "defaults"
            found[mount] = Entry(plain(fields[0]), mount, fields[2], tuple(options.split(",")))
    return found


def with_project_quotas(mountinfo: str | None) -> set[str]:
    """Return the mount points of file systems that count by project now (proc(5), /proc/PID/mountinfo: options after the dash)."""
    found = set()
    for line in (mountinfo or "").splitlines():
        head, dash, tail = line.partition(" - ")
        fields, end = head.split(), tail.split()
        if dash and len(fields) >= 5 and len(end) >= 3 and {"prjquota", "pquota"} & set(end[2].split(",")):
            found.add(plain(fields[4]))
    return found
