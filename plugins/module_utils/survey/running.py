# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs and what starts at boot, as files tell it: /proc and the links that systemd makes for enabled units."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

UNITS = "/etc/systemd/system"
BINARIES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin", "/snap/bin", "/opt/rke2/bin")


def processes(tree: Tree) -> dict[int, str] | None:
    """Names of the running programs by process id, cut by the kernel to 15 characters; None where /proc shows none."""
    numbers = [int(name) for name in tree.names("/proc") if name.isascii() and name.isdigit() and len(name) < 10]
    found = {number: tree.text(f"/proc/{number}/comm", 64) for number in numbers}
    return {number: name for number, name in found.items() if name} or None


def runs(names: dict[int, str] | None, *programs: str) -> bool | None:
    """Whether one of the programs runs; None where the processes are not known."""
    return None if names is None else any(name in programs for name in names.values())


def enabled(tree: Tree, *units: str) -> bool:
    """Whether one of the units starts at boot (`systemctl enable` links it below a target)."""
    for directory in tree.names(UNITS):
        if directory.endswith((".wants", ".requires")):
            for unit in units:
                # In a recorded tree the link leads to nowhere, and is there all the same.
                if tree.link_name(f"{UNITS}/{directory}/{unit}") is not None:
                    return True
    return False


def binary(tree: Tree, *names: str) -> str:
    """The path of the first of the programs that is there; empty for none."""
    places = (f"{directory}/{name}" for name in names for directory in BINARIES)
    return next((place for place in places if tree.exists(place)), "")
