# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the role writes, as texts by path: sources, pins, what is not upgraded by itself, nouveau, modules to load."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_nouveau import OWN as NOUVEAU
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_sources import OWN as SOURCES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Repository, Selection

COMPONENTS = SOURCES + "gpu-driver-components.sources"
# Its name sorts before those of the vendor's pinning packages: of two pins for a version, apt takes the first.
PREFERENCES = "/etc/apt/preferences.d/mlops-onprem-gpu-driver"
UPGRADES = "/etc/apt/apt.conf.d/52mlops-onprem-gpu-driver"
LOAD = "/etc/modules-load.d/mlops-onprem-gpu-driver.conf"
HEAD = "# Written by the role mlops.onprem.gpu_driver\n"
# All that has the driver's version, whoever packed it.
DRIVER = "*nvidia* libcuda1 libcudadebugger1 libnv* libxnvctrl* cuda-drivers*"
_BLACKLIST = {
    "nvidia": (
        "^nvidia-",
        "^libnvidia",
        "^libcuda1",
        "^libnv",
        "^cuda-drivers",
        "^datacenter-gpu-manager",
        "^.*-nvidia-",
    ),
    "amd": ("^amdgpu", "^amdrocm", "^rocm", "^hip", "^hsa-"),
}


def source(repository: Repository) -> tuple[str, str]:
    """Path and text of the entry for one repository."""
    lines = ["Types: deb", f"URIs: {repository.url}", f"Suites: {' '.join(repository.suites)}"]
    if repository.components:
        lines.append(f"Components: {' '.join(repository.components)}")
    if repository.architectures:
        lines.append(f"Architectures: {' '.join(repository.architectures)}")
    lines.append(f"Signed-By: {repository.key_file}")
    return f"{SOURCES}{repository.name}.sources", HEAD + "\n".join(lines) + "\n"


def components(wanted: list[str], entries: list[dict[str, Any]]) -> str | None:
    """Entries for the distribution's components that are off: beside each of its own that has `main`. None where all are on."""
    on: dict[tuple[str, str], set[str]] = {}
    signed: dict[tuple[str, str], str] = {}
    for entry in entries:
        place = (entry["uri"], entry["suite"])
        on.setdefault(place, set()).update(entry["components"])
        signed.setdefault(place, entry["signed_by"])
    parts = []
    for place, there in on.items():
        lacking = [name for name in wanted if name not in there]
        if "main" in there and lacking:
            lines = [
                "Types: deb",
                f"URIs: {place[0]}",
                f"Suites: {place[1]}",
                f"Components: {' '.join(lacking)}",
                *([f"Signed-By: {signed[place]}"] if signed[place] else []),
            ]
            parts.append("\n".join(lines) + "\n")
    return HEAD + "\n".join(parts) if parts else None


def preferences(chosen: Selection) -> str | None:
    """The driver at exactly its version, as apt preferences: a version on a metapackage does not pin what it depends on."""
    pins = list(chosen.preferences)
    if chosen.vendor == "nvidia":
        pins = [{"package": DRIVER, "pin": f"version {chosen.version}-*", "priority": 1001}] if chosen.version else []
    texts = [f"Package: {pin['package']}\nPin: {pin['pin']}\nPin-Priority: {pin['priority']}\n" for pin in pins]
    return HEAD + "\n".join(texts) if texts else None


def paths(chosen: Selection) -> list[str]:
    """All files that a selection may need, to look at."""
    own = [source(repository)[0] for repository in chosen.repositories]
    return [*own, COMPONENTS, PREFERENCES, UPGRADES, NOUVEAU, LOAD]


def texts(chosen: Selection, entries: list[dict[str, Any]], host: bool) -> dict[str, str | None]:
    """The text of each file by path; None for one that must not be there. `host`: with the kernel's side."""
    found: dict[str, str | None] = dict(source(repository) for repository in chosen.repositories)
    found[COMPONENTS] = components(chosen.components, entries)
    found[PREFERENCES] = preferences(chosen)
    names = "\n".join(f'  "{pattern}";' for pattern in _BLACKLIST[chosen.vendor or "nvidia"])
    # apt reads lines that begin with # as comments, too.
    found[UPGRADES] = f"{HEAD}Unattended-Upgrade::Package-Blacklist {{\n{names}\n}};\n"
    nouveau = host and chosen.vendor == "nvidia"
    found[NOUVEAU] = f"{HEAD}blacklist nouveau\noptions nouveau modeset=0\n" if nouveau else None
    loads = "\n".join(chosen.load_modules) + "\n"
    found[LOAD] = HEAD + loads if chosen.load_modules and host else None
    return found
