# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a host before anything is planned: its GPUs with their device files, slots, registrations, the program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.ci import act_config, github_config, units
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_use
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree


def gpus(root: str) -> list[dict[str, Any]]:
    """Return the accelerators, each with `nodes`, the device files that are its own."""
    tree = Tree(root)
    found: list[dict[str, Any]] = gather(root)["accelerators"]
    for gpu in found:
        gpu["nodes"] = nodes(tree, str(gpu.get("vendor")), str(gpu.get("pci_address") or ""))
    return found


def nodes(tree: Tree, vendor: str, address: str) -> list[str]:
    """Return a GPU's own device files; NVIDIA's number is the driver's minor, which need not be the index."""
    if vendor == "nvidia":
        text = tree.text(f"/proc/driver/nvidia/gpus/{address}/information") or ""
        minor = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("Device Minor")), "")
        return [f"/dev/nvidia{minor}"] if minor.isdigit() else []
    if vendor == "amd":
        return [
            f"/dev/dri/{name}"
            for name in tree.names(f"/sys/bus/pci/devices/{address}/drm")
            if name.startswith(("renderD", "card"))
        ]
    return []


def gpu_jobs(root: str = "/") -> bool:
    """Whether a process that is no daemon of a driver has a GPU open."""
    return any(not one["daemon"] for one in host_use.read(Tree(root)))


def slots(work_dir: str, unit_dir: str = units.UNITS) -> dict[str, dict[str, Any]]:
    """Return the slots on the host by name, each with what its registration left, without tokens."""
    found = {}
    for path in sorted(Path(unit_dir).glob(f"{units.PREFIX}*.service")):
        name = path.name[len(units.PREFIX) : -len(".service")]
        found[name] = registered(Path(work_dir) / name / ".runner")
    return found


def registered(path: Path) -> dict[str, str]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return {}
    return github_config.registered(text) or act_config.registered(text)


def installed(app_dir: str) -> str:
    """Return the name of the version that `current` points to."""
    try:
        return (Path(app_dir) / "current").readlink().name
    except OSError:
        return ""
