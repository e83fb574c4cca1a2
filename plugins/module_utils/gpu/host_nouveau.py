# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nouveau, the kernel's own driver of NVIDIA cards: loaded, blacklisted, or still in an initramfs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

OWN = "/etc/modprobe.d/mlops-onprem-gpu-driver.conf"
FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
_OFF = re.compile(
    r"^\s*(blacklist\s+nouveau\b|install\s+nouveau\s+/bin/(true|false)|alias\s+nouveau\s+off)", re.MULTILINE
)
_COMMAND_LINE = re.compile(r"(?:^|\s)(?:modprobe\.blacklist|module_blacklist)=(?:\S*,)?nouveau(?:,|\s|$)")


def _time(tree: Tree, path: str) -> float | None:
    real = tree.resolve(path)
    if real is None:
        return None
    try:
        return Path(("" if tree.live else tree.root) + real).stat().st_mtime
    except OSError:
        return None


def read(hardware: Tree, system: Tree) -> dict[str, Any]:
    """`loaded`, `blacklisted`, and `initramfs`: kernels whose initramfs is older than this collection's blacklist.

    What an initramfs holds is copied when it is made. Files of packages have the time at which they were packed, which
    says nothing, so only the own file counts: without it, all are told.
    """
    files = [
        f"{folder}/{name}"
        for folder in FOLDERS
        for name in system.names(folder)
        if name.endswith(".conf") and _OFF.search(system.text(f"{folder}/{name}") or "")
    ]
    command_line = bool(_COMMAND_LINE.search(hardware.text("/proc/cmdline") or ""))
    written = _time(system, OWN)
    stale = []
    for name in system.names("/boot"):
        if name.startswith("initrd.img-"):
            made = _time(system, f"/boot/{name}")
            if written is None or (made is not None and made < written):
                stale.append(name[len("initrd.img-") :])
    return {
        "loaded": hardware.exists("/sys/module/nouveau"),
        "blacklisted": bool(files) or command_line,
        "files": files,
        "initramfs": stale,
    }
