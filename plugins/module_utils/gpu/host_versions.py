# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver is installed, and which versions a selection would take: the installed ones, unless an upgrade is asked for."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.candidates import driver_version
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import CORE, Package, Selection

# Packages whose version is the driver's, of all systems and sources.
_NVIDIA = re.compile(
    r"nvidia-(driver|driver-cuda|smi|open|headless-.+|utils(-.+)?|tesla-\d+-.+|dkms.*|kernel-dkms|kernel-open-dkms|open-kernel-dkms)$"
    r"|libcuda1$|libnvidia-compute.*|linux-modules-nvidia-.+"
)
_KERNEL = re.compile(r"nvidia-.*dkms.*|linux-modules-nvidia-.+")
_AMD = re.compile(r"amdgpu-dkms$|amdrocm\d.*|rocm(-hip-runtime)?$")


class Installed(NamedTuple):
    """The driver that packages brought; all None where there is none."""

    version: Optional[str] = None  # noqa: UP045 (evaluated at run time on Python 3.9)
    flavour: Optional[str] = None  # noqa: UP045

    @property
    def branch(self) -> str | None:
        return self.version.split(".")[0] if self.version else None


def installed(packages: dict[str, str], vendor: str | None) -> Installed:
    """What is installed, by the packages' names and versions."""
    if vendor == "amd":
        return Installed(next((version for name, version in sorted(packages.items()) if _AMD.match(name)), None))
    flavour = next(
        ("open" if "open" in name else "proprietary" for name in sorted(packages) if _KERNEL.fullmatch(name)), None
    )
    for name, version in sorted(packages.items()):
        found = driver_version(version) if _NVIDIA.fullmatch(name) else None
        if found:
            return Installed(found, flavour)
    return Installed(None, flavour)


def by_version(version: str) -> tuple[tuple[int, ...], str]:
    """A key that sorts versions of one package by the driver's numbers, and then as text."""
    found = driver_version(version)
    return (tuple(int(part) for part in found.split(".")) if found else (), version)


def target(chosen: Selection, versions: dict[str, list[str]], wanted: str | None) -> str | None:
    """The newest version of the branch that all packages of the driver have; `wanted` where one is asked for."""
    if wanted:
        return wanted
    common: set[str] | None = None
    for package in chosen.packages:
        if package.same_version and package.part in CORE:
            found = {driver_version(version) for version in versions.get(package.name, [])}
            mine = {version for version in found if version and version.split(".")[0] == str(chosen.branch)}
            common = mine if common is None else common & mine
    return max(common, key=by_version) if common else None


def available(
    chosen: Selection,
    info: dict[str, Any],
    driver: str | None,
    keep: bool,
) -> dict[str, str | None]:
    """The version that each package of `chosen` would be installed in, None where the sources have none.

    `driver`: the driver's version to take. `keep`: what is installed stays as it is.
    """
    found: dict[str, str | None] = {}
    for package in [*chosen.first, *chosen.headers, *chosen.packages]:
        name = package.name
        if keep and name in info["packages"]:
            found[name] = info["packages"][name]
        else:
            found[name] = _pick(package, info, driver)
    return found


def _pick(package: Package, info: dict[str, Any], driver: str | None) -> str | None:
    versions: list[str] = info["versions"].get(package.name, [])
    candidate: str | None = info["candidates"].get(package.name)
    if package.same_version and driver:
        fit = [version for version in versions if driver_version(version) == driver]
    elif package.version:
        fit = [version for version in versions if version.startswith(package.version)]
    else:
        return candidate
    if candidate in fit:
        return candidate
    # Without any that fits, the candidate, so that it can be said which version is there.
    return max(fit, key=by_version) if fit else None if package.version else candidate
