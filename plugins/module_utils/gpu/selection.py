# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver a host gets: facts and options to a selection of packages, or a refusal with its reason and remedy."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import amd, debian, parts, redhat, repositories, ubuntu
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, DEFAULT
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.candidates import check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.flavour import flavour_of, unfit
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import (
    GENERATIONS,
    NVLINK5,
    SUPERCHIPS,
    generation_of,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import complete, refused_word
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import (
    CORE,
    Package,
    Refusal,
    Result,
    Selection,
    Want,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System, system_of

# Binary packages of the driver's source in Debian and Ubuntu.
DRIVER_PATTERNS = "*nvidia* libcuda1 libnv*"
_FAMILIES = {"debian": debian, "ubuntu": ubuntu, "redhat": redhat}


def select(facts: dict[str, Any], given: dict[str, Any]) -> Result:
    """Return what the host of these `mlops_hardware` facts gets. Raises OptionError for options of a wrong type."""
    options = complete(given)
    refusal = refused_word(options)
    if refusal is not None:
        return refusal
    if options["source"] == "mirror" and not (options["mirror_url"] or options["base_urls"]):
        return Refusal(
            "source is mirror, and no mirror is named.", "Set mirror_url to the address of the site's mirror."
        )
    cards = facts.get("accelerators")
    if cards is None and not options["force_vendor"]:
        return Refusal(
            "The facts do not say which GPUs the host has (accelerators).",
            "See unreadable in the facts, or set force_vendor to nvidia or amd.",
        )
    # A card that is bound to vfio-pci belongs to a guest, which brings its own driver.
    mine = [card for card in cards or [] if card.get("driver") != "vfio-pci"]
    vendor = _vendor(mine, options)
    if isinstance(vendor, Refusal):
        return vendor
    if vendor is None:
        return Selection(nothing=f"Nothing to install: {_why_nothing(cards or [], mine)}.")
    system = system_of(facts)
    if isinstance(system, Refusal):
        return system
    mine = [card for card in mine if card.get("vendor") == vendor]
    container = (facts.get("system") or {}).get("container") not in (None, "none")
    # A container that names kernels builds an image; another one has the host's kernel module.
    host = not container or bool(options["kernel_releases"])
    running = (facts.get("system") or {}).get("kernel")
    if host and not options["kernel_releases"] and running:
        options = {**options, "kernel_releases": [running]}
    chosen = (_nvidia if vendor == "nvidia" else _amd)(facts, mine, system, host, options)
    return chosen if isinstance(chosen, Refusal) else _finish(chosen, vendor, system, host, facts, options)


def _why_nothing(cards: list[dict[str, Any]], mine: list[dict[str, Any]]) -> str:
    if mine:
        names = ", ".join(sorted({str(card.get("pci_id")) for card in mine}))
        return f"the table has no driver for {names} (force_vendor: amd has AMD's installed all the same)"
    return f"all {len(cards)} GPUs are bound to vfio-pci, for guests" if cards else "the host has no GPU"


def _vendor(cards: list[dict[str, Any]], options: dict[str, Any]) -> str | Refusal | None:
    if options["force_vendor"]:
        return str(options["force_vendor"])
    found = {str(card.get("vendor")) for card in cards if card.get("vendor") == "nvidia"}
    # Graphics inside AMD's CPUs are on the bus, too, and no reason for ROCm.
    found |= {"amd" for card in cards if card.get("vendor") == "amd" and card.get("architecture") in amd.ACCELERATORS}
    if len(found) > 1:
        return Refusal(
            "The host has accelerators of NVIDIA and of AMD.", "Set force_vendor to the one whose driver is wanted."
        )
    return found.pop() if found else None


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


def _loaded(facts: dict[str, Any]) -> str | None:
    """The version of the loaded kernel module of NVIDIA."""
    return next((row.get("version") for row in facts.get("drivers") or [] if row.get("name") == "nvidia"), None)


def _module(system: System, host: bool, options: dict[str, Any]) -> str:
    if options["module"] != "auto":
        return str(options["module"])
    if not host:
        return "none"
    return "precompiled" if system.family == "ubuntu" and options["source"] == "distribution" else "dkms"


def _nvidia(
    facts: dict[str, Any], cards: list[dict[str, Any]], system: System, host: bool, options: dict[str, Any]
) -> Result:
    branch = _branch(system, options, _loaded(facts), host)
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


def _amd(
    facts: dict[str, Any], cards: list[dict[str, Any]], system: System, host: bool, options: dict[str, Any]
) -> Result:
    architectures = sorted({str(card.get("architecture") or "unknown") for card in cards})
    module = options["module"]
    if module == "auto":
        module = amd.default_module(system, options["source"], host)
    if module == "dkms" and not options["kernel_releases"]:
        return Refusal(
            "It is not known for which kernel the module is wanted.", "Set kernel_releases to what uname -r says."
        )
    chosen = amd.select(system, architectures, module, options)
    if isinstance(chosen, Selection):
        chosen.module = module
        chosen.generations = [name for name in architectures if name in amd.ACCELERATORS]
        chosen.signed_by = "host" if module == "dkms" else "kernel" if host else None
    return chosen


def _overridden(chosen: Selection, options: dict[str, Any]) -> None:
    """Put a person's names in the place of the table's, and behind them."""
    for part, names in options["packages_override"].items():
        where = {"pinning": "first", "headers": "headers"}.get(part, "packages")
        kept = [package for package in getattr(chosen, where) if package.part != part]
        old = [package for package in getattr(chosen, where) if package.part == part]
        same = part in CORE or any(package.same_version for package in old)
        setattr(chosen, where, [*kept, *(Package(str(name), part, same_version=same) for name in names)])
    chosen.packages += [Package(str(name), "extra") for name in options["packages_extra"]]


def _held(package: Package) -> bool:
    """Whether an upgrade that nobody asked for would break the host: the driver, and what must fit to it."""
    own = package.name.startswith("datacenter-gpu-manager")
    return package.same_version or package.version is not None or package.part == "kernel_module" or own


def _finish(
    chosen: Selection, vendor: str, system: System, host: bool, facts: dict[str, Any], options: dict[str, Any]
) -> Result:
    chosen.vendor, chosen.family = vendor, system.family
    chosen.source, chosen.profile = options["source"], options["profile"]
    _overridden(chosen, options)
    chosen.repositories = [repositories.with_key(item, options) for item in chosen.repositories]
    if not options["add_repositories"]:
        chosen.repositories = []
    if options["available"] is not None:
        checked = check(chosen, options["available"], _loaded(facts), not host)
        if isinstance(checked, Refusal):
            return checked
        chosen = checked
    if not host:
        chosen.notes.append("In a container, the kernel module is the host's: user space only.")
    chosen.hold = [package.name for package in chosen.packages if _held(package)]
    used = [package.unverified for package in [*chosen.first, *chosen.packages, *chosen.headers]]
    used += [repository.unverified for repository in chosen.repositories]
    used += [item["unverified"] for item in chosen.downloads]
    return dataclasses.replace(chosen, unverified=sorted({key for key in [*chosen.unverified, *used] if key}))
