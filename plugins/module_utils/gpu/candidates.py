# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A selection held against what the package manager has: is all there, and is it one driver?"""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import CORE, Package, Refusal, Result, Selection

_DRIVER_VERSION = re.compile(r"(?:\d+:)?(\d{3}(?:\.\d{1,4}){1,3})")


def driver_version(version: str) -> str | None:
    """`535.309.01-0+deb12u1` and `3:535.309.01-1.el9` as `535.309.01`."""
    match = _DRIVER_VERSION.match(version)
    return match.group(1) if match else None


def check(chosen: Selection, available: dict[str, str | None], running: str | None, foreign: bool) -> Result:
    """The selection with its version and without optional packages that are missing, or a refusal.

    `available`: the candidate of each package that the source has, as the package manager states versions; None or no
    entry where it has none. `running`: the version of the loaded kernel module, which decides where it is not this
    host's to change (`foreign`, in a container).
    """

    def has(package: Package) -> bool:
        return bool(available.get(package.name))

    without = [package for package in chosen.headers if not has(package)]
    if without:
        names = ", ".join(package.name for package in without)
        return Refusal(
            f"The host's sources have no headers of the kernel: {names}.",
            "Boot a kernel whose headers the sources have (an upgrade and a reboot, most often), or mirror them.",
        )
    lacking = [package.name for package in [*chosen.first, *chosen.packages] if package.required and not has(package)]
    if lacking:
        return Refusal(
            f"The source {chosen.source} has no package {', '.join(lacking)}.",
            "Choose another branch or source, refresh the package lists, or name the package by packages_override.",
        )
    left_out = [package.name for package in chosen.packages if not has(package)]
    packages = [package for package in chosen.packages if has(package)]
    notes = [*chosen.notes, *(f"{name} is left out: the source does not have it." for name in left_out)]
    versions: dict[str, str] = {}
    for package in packages:
        version = (
            driver_version(available[package.name] or "") if package.same_version and package.part in CORE else None
        )
        if version is not None:
            versions[package.name] = version
    refusal = _one_version(chosen, versions, running if foreign else None)
    if refusal is not None:
        return refusal
    found = next(iter(versions.values()), chosen.version)
    return dataclasses.replace(chosen, packages=packages, notes=notes, version=found)


def _one_version(chosen: Selection, versions: dict[str, str], running: str | None) -> Refusal | None:
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{name} {version}" for name, version in versions.items())
        return Refusal(
            f"The kernel module and the user space that the source has are of different versions: {told}.",
            "They do not work together. Take the other flavour where the GPUs allow it, another branch or another source; or set "
            "version to the older one, where the source still has all packages of it.",
        )
    for name, version in versions.items():
        if version.split(".")[0] != str(chosen.branch):
            return Refusal(
                f"The source has {name} {version}, and branch {chosen.branch} is wanted.",
                "Install the pinning package or enable the module stream first, then look again.",
            )
        if chosen.version is not None and version != chosen.version:
            return Refusal(
                f"The source has {name} {version}, and version {chosen.version} is wanted.",
                "Set version to the one that the source has, or mirror the one that is wanted.",
            )
        if running is not None and version != running:
            return Refusal(
                f"The loaded kernel module is of version {running}, and the source has {name} {version}.",
                "In a container, the user space has to be of the host's version: set version and source accordingly.",
            )
    return None
