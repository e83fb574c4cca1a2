# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction of apt: what it would do, and whether it may.

apt is asked by its own simulation, with the pins in effect that the role writes, so that what is judged is what is done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_packages import OURS

_INSTALL = re.compile(r"Inst (\S+) (?:\[([^\]]*)\] )?\((\S+) ")
_REMOVE = re.compile(r"(?:Remv|Purg) (\S+) \[([^\]]*)\]")
# Kernels themselves, and the packages that bring the newest one. Modules of a driver for a kernel are none of them.
KERNEL = re.compile(
    r"linux-(image|generic|virtual|server|aws|azure|gcp|oracle|kvm|lowlatency|cloud|rt|modules(?!-nvidia|-extra))"
)
# Brings the headers of whatever kernel is the newest.
META_HEADERS = re.compile(r"linux-headers-(amd64|arm64|generic|cloud-|rt-|server|virtual|lowlatency)")
_UNPACKED = re.compile(r"^After this operation, ([\d.,]+) ([kMGT]?B) of additional", re.MULTILINE)
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass
class Changes:
    """Packages by what would become of them, with versions `old` and `new`."""

    installed: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.installed or self.changed or self.removed)

    def lines(self) -> list[str]:
        """For people, as a diff shows them."""
        return [
            *(f"{name} {version}" for name, version in sorted(self.installed.items())),
            *(f"{name} {new} (was {old})" for name, (old, new) in sorted(self.changed.items())),
            *(f"{name} removed (was {version})" for name, version in sorted(self.removed.items())),
        ]


def parse(text: str) -> Changes:
    """The output of `apt-get --simulate`. A name with its architecture (`libc6:i386`) stays so."""
    changes = Changes()
    for line in text.splitlines():
        match = _INSTALL.match(line)
        if match:
            name, old, new = match.groups()
            if old:
                changes.changed[name] = (old, new)
            else:
                changes.installed[name] = new
            continue
        match = _REMOVE.match(line)
        if match:
            changes.removed[match.group(1)] = match.group(2)
    return changes


def complaint(text: str) -> str:
    """What apt said of its errors, in one line."""
    start = text.find("The following packages have unmet dependencies")
    told = (
        text[start:] if start >= 0 else "\n".join(line for line in text.splitlines() if line.startswith(("E:", "W:")))
    )
    lines = [" ".join(line.split()) for line in told.splitlines() if line.strip()]
    return " ".join(lines)[:1500] or " ".join(text.split())[-500:]


def unpacked_bytes(text: str) -> int:
    """What apt says that it takes on the disk when all is unpacked; 0 where it says nothing of more."""
    match = _UNPACKED.search(text)
    return int(float(match.group(1).replace(",", "")) * _UNITS[match.group(2)]) if match else 0


def judge(changes: Changes, wanted: list[str], remove: list[str], held: list[str]) -> list[str]:
    """Why this must not be done. `wanted`, `remove`: names that were asked for; `held`: those that others hold."""
    problems = []
    arriving = [*changes.installed, *changes.changed]
    kernels = [name for name in arriving if KERNEL.match(name) or META_HEADERS.match(name)]
    kernels += [name for name in changes.removed if KERNEL.match(name)]
    kernels = [name for name in kernels if name not in wanted]
    if kernels:
        problems.append(
            f"apt would move the kernel ({', '.join(sorted(kernels))}). Upgrade the kernel and reboot first, then run this again."
        )
    foreign = [name for name in changes.removed if name not in remove and not OURS.match(name) and name not in kernels]
    if foreign:
        problems.append(
            f"apt would remove {', '.join(sorted(foreign))}, which no driver consists of. "
            "Remove it by hand if it may go, or choose another branch or source."
        )
    others = [name for name in [*changes.changed, *changes.removed] if name in held]
    if others:
        problems.append(
            f"{', '.join(sorted(others))}: held on the host by others. Run apt-mark unhold there if it may change."
        )
    return problems
