# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA: branch, kernel modules and parts for the GPUs of one host."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import debian, parts, redhat, repositories, ubuntu
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, DEFAULT
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.flavour import flavour_of, unfit
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import (
    GENERATIONS,
    NVLINK5,
    SUPERCHIPS,
    generation_of,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal, Result, Selection, Want
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

# Binary packages of the driver's source in Debian and Ubuntu.
DRIVER_PATTERNS = "*nvidia* libcuda1 libnv*"
_FAMILIES = {"debian": debian, "ubuntu": ubuntu, "redhat": redhat}


def loaded(facts: dict[str, Any]) -> str | None:
    """The version of the loaded kernel module of NVIDIA."""
    return next((row.get("version") for row in facts.get("drivers") or [] if row.get("name") == "nvidia"), None)


def _branch(system: System, options: dict[str, Any], running: str | None, host: bool) -> int | Refusal:
    wanted = options["branch"]
    if wanted == "auto" and options["version"]:
        wanted = options["version"].split(".")[0]
    if wanted == "auto" and not host and running:
        # The user space of a container follows the kernel module of its host.
        wanted = running.split(".")[0]
    if wanted == "auto":
        branch: int | None = _FAMILIES[system.family].default_branch(system, options["source"])
        if branch is None:
            return Refusal(
                f"{system.identity} {system.major} has no NVIDIA driver of its own.", "Set source to vendor or mirror."
            )
        return branch
    if not wanted.isdigit() or int(wanted) not in BRANCHES:
        known = ", ".join(map(str, BRANCHES))
        return Refusal(f"The driver branch {wanted} is not known.", f"Set branch to auto or one of: {known}.")
    if options["version"] and options["version"].split(".")[0] != wanted:
        return Refusal(
            f"version {options['version']} is not of branch {wanted}.", "Leave branch at auto, or make the two agree."
        )
    return int(wanted)


def _generations(cards: list[dict[str, Any]], options: dict[str, Any]) -> list[str] | Refusal:
    named = options["architectures"]
    for name in [*options["generations"], *named.values()]:
        if name not in GENERATIONS:
            return Refusal(f"The generation {name!r} is not known.", f"Name one of: {', '.join(GENERATIONS)}.")
    found = set(options["generations"])
    for card in cards:
        generation = generation_of(card, named)
        if generation is not None:
            found.add(generation)
        elif options["flavour"] == "auto":
            identity = card.get("pci_id") or "unknown id"
            return Refusal(
                f"The generation of the GPU at {card.get('pci_address') or 'an unknown address'} ({identity}) is not known.",
                f"Name it by architectures ({identity}: Ampere, for example), or set flavour to open or proprietary.",
            )
    return [name for name in GENERATIONS if name in found]


def _module(system: System, host: bool, options: dict[str, Any]) -> str:
    if options["module"] != "auto":
        return str(options["module"])
    if not host:
        return "none"
    return "precompiled" if system.family == "ubuntu" and options["source"] == "distribution" else "dkms"


def choose(
    facts: dict[str, Any], cards: list[dict[str, Any]], system: System, host: bool, options: dict[str, Any]
) -> Result:
    """The driver of NVIDIA's `cards`, and what goes with it; `host`: with the kernel's side."""
    branch = _branch(system, options, loaded(facts), host)
    if isinstance(branch, Refusal):
        return branch
    generations = _generations(cards, options)
    if isinstance(generations, Refusal):
        return generations
    refusal = unfit(generations, branch, options["flavour"])
    if refusal is not None:
        return refusal
    flavour = options["flavour"] if options["flavour"] != "auto" else flavour_of(generations, branch)
    module = _module(system, host, options)
    if module in ("dkms", "precompiled") and not options["kernel_releases"]:
        return Refusal(
            "It is not known for which kernel the module is wanted.", "Set kernel_releases to what uname -r says."
        )
    want = Want(
        *(options["source"], branch, flavour, options["profile"], module),
        tuple(options["kernel_releases"]),
        options["version"],
    )
    chosen = _FAMILIES[system.family].driver(system, want)
    if isinstance(chosen, Refusal):
        return chosen
    chosen.branch, chosen.flavour, chosen.module, chosen.generations = branch, flavour, module, generations
    chosen.version, chosen.cuda_major = options["version"], BRANCHES[branch].cuda_major
    chosen.signed_by = {
        "dkms": "host",
        "precompiled": "distribution" if options["source"] == "distribution" else "vendor",
    }.get(module)
    if options["source"] == "distribution" and options["version"]:
        # No pinning package has the distribution's versions. Packages of other versions are not touched by this.
        pin = {"package": DRIVER_PATTERNS, "pin": f"version {options['version']}-*", "priority": 1001}
        chosen.preferences = [pin]
    if any(GENERATIONS[name].first > min(BRANCHES) for name in generations):
        chosen.unverified.append("first-branches")
    if system.identity == "almalinux":
        chosen.unverified.append("almalinux")
    return _with_parts(chosen, facts, cards, system, host, options)


def _with_parts(
    chosen: Selection,
    facts: dict[str, Any],
    cards: list[dict[str, Any]],
    system: System,
    host: bool,
    options: dict[str, Any],
) -> Result:
    source, branch = options["source"], chosen.branch or 0
    switches = (facts.get("fabric") or {}).get("nvswitches")
    found = parts.Found(frozenset(str(card.get("pci_id")) for card in cards), switches, host)
    wanted = parts.detect(found, system, source)
    wanted.update({part: value for part, value in options["parts"].items() if isinstance(value, bool)})
    refusal = parts.missing_in(system, source, wanted)
    if refusal is not None:
        return refusal
    if host and cards and switches is None and "fabric_manager" not in options["parts"]:
        chosen.notes.append("The facts do not say whether the host has NVSwitches: Fabric Manager is not selected.")
    if not wanted["persistence"]:
        chosen.packages = [package for package in chosen.packages if package.part != "persistence"]
    for part, asked in wanted.items():
        more = parts.packages(part, system, branch, source, options) if asked else []
        if isinstance(more, Refusal):
            return more
        chosen.packages += more
    if wanted["mig_parted"]:
        chosen.downloads.append(parts.mig_parted(system, options))
    if wanted["nvlink5"]:
        chosen.load_modules = ["ib_umad", "mlx5_core"]
    if found.pci_ids & (NVLINK5 | SUPERCHIPS):
        chosen.unverified.append("fabric-by-model")
    if wanted["fabric_manager"] and system.family == "redhat":
        chosen.unverified.append("el-fabric-manager")
    if wanted["dcgm"]:
        chosen.remove.append("datacenter-gpu-manager")
    if source != "distribution":
        if branch < DEFAULT:
            chosen.unverified.append("before-580")
        chosen.repositories.append(repositories.cuda(system, options))
        if system.family != "redhat":
            # A second entry for the same address with another key makes apt fail.
            chosen.remove.append("cuda-keyring")
            chosen.remove_files.append(
                f"/etc/apt/sources.list.d/cuda-{system.cuda_name}-{system.cuda_architecture}.list"
            )
            chosen.unverified.append("keyring-files")
    if wanted["container_toolkit"]:
        chosen.repositories.append(repositories.container_toolkit(system, options))
    return chosen
