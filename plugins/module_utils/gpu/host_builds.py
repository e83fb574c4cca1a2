# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are known not to compile for some kernels: minutes of building and a half-installed package saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_kernel import by_release


class Pair(NamedTuple):
    """A package of a module in one version, and the kernels that it does not compile for."""

    package: str
    # With its revision: the next one may have the patch, and a site's own has.
    version: str
    # The kernels' releases begin with this, and the first of them that fails.
    series: str
    first: str
    remedy: str


_REMEDY = "Set gpu_driver_flavour to proprietary where the GPUs allow it, or gpu_driver_source to vendor."

# Each was tried with the packages named, and fails with an error of the compiler.
PAIRS = (
    Pair(
        "nvidia-open-kernel-dkms",
        "535.261.03-1",
        "6.1.0-",
        "6.1.0-53",
        _REMEDY,
    ),
    # The kernel's pci_resize_resource() has a fourth argument there, in all headers that Debian 13 still offers.
    Pair(
        "nvidia-open-kernel-dkms",
        "550.163.01-2",
        "6.12.",
        "6.12.107",
        _REMEDY,
    ),
)


def refused(versions: Mapping[str, str | None], releases: Iterable[str]) -> list[str]:
    """A sentence for each module of `versions` (package to version) that does not compile for one of the kernels."""
    sentences = []
    for pair in PAIRS:
        if versions.get(pair.package) != pair.version:
            continue
        kernels = [name for name in releases if name.startswith(pair.series)]
        failing = [name for name in kernels if by_release(name) >= by_release(pair.first)]
        if failing:
            told = ", ".join(failing)
            sentences.append(f"{pair.package} {pair.version} does not compile for the kernel {told}. {pair.remedy}")
    return sentences
