# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of /etc/fstab."""

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
