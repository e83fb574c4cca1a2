# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver a host gets: facts and options to a selection of packages, or a refusal with its reason and remedy."""

from __future__ import annotations

import dataclasses
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import amd, nvidia, repositories
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.candidates import check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import complete, refused_word
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import CORE, Package, Refusal, Result, Selection
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System, system_of


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
    chosen = (nvidia.choose if vendor == "nvidia" else _amd)(facts, mine, system, host, options)
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
    chosen = amd.select(system, architectures, module, host, options)
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
        checked = check(chosen, options["available"], nvidia.loaded(facts), not host)
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
