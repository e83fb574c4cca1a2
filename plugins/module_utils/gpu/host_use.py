# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a GPU: processes that have one of the driver's device nodes open."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

NODE = re.compile(r"/dev/(nvidia(\d+|ctl|-uvm|-uvm-tools|-modeset|-caps/.*)|kfd)$")
# Daemons that belong to the driver: they are stopped and started with it.
DAEMONS = (
    *("nvidia-persistenced", "nvidia-persiste", "nv-fabricmanager", "nv-hostengine", "nvidia-imex", "dcgm-exporter"),
    *("nvidia-dcgm", "nvlsm", "gpuagent", "amdgpu-exporter"),
)
MAX_PROCESSES = 100


def read(hardware: Tree) -> list[dict[str, Any]]:
    """`pid`, `command`, `node` and `daemon` of each process with an open node. Only root sees all of them."""
    found: list[dict[str, Any]] = []
    proc = f"{'' if hardware.live else hardware.root}/proc"
    for name in hardware.names("/proc"):
        if not name.isdigit() or len(found) >= MAX_PROCESSES:
            continue
        node = _node(f"{proc}/{name}/fd")
        if node:
            command = (hardware.text(f"/proc/{name}/comm") or "?")[:64]
            found.append({"pid": int(name), "command": command, "node": node, "daemon": command in DAEMONS})
    return found


def _node(folder: str) -> str | None:
    """The driver's node among the files that a process has open. A process with many makes pathlib's objects dear."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                target = _target(entry.path)
                if NODE.match(target):
                    return target
    except OSError:
        return None
    return None


def _target(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115
    except OSError:
        return ""
