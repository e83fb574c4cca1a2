# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian: its own driver, and the vendor's for it.

Names and versions of Debian's own packages are those of its index of November 2026, for amd64 and arm64.
"""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import DEFAULT
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Package, Refusal, Result, Selection, Want
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

# Debian's own branches by release; the first is the one of its plain names, the others are called after their branch.
# The firmware that open modules need is in non-free-firmware, the open modules are in contrib.
OWN = {12: (535, 470), 13: (550, 535)}
COMPONENTS = ["contrib", "non-free", "non-free-firmware"]


def default_branch(system: System, source: str) -> int | None:
    """The branch of `auto`."""
    return OWN[system.major][0] if source == "distribution" else DEFAULT


def headers(releases: tuple[str, ...]) -> list[Package]:
    """Headers of exactly these kernels: a metapackage would bring those of another kernel."""
    return [Package(f"linux-headers-{release}", "headers") for release in releases]


def driver(system: System, want: Want) -> Result:
    """The driver's packages, without parts."""
    if want.module == "precompiled":
        return Refusal(
            f"There are no precompiled kernel modules for Debian {system.major}.",
            "Set module to dkms: modules are built for the kernels of the host.",
        )
    chosen = _own(system, want) if want.source == "distribution" else _vendors(system, want)
    if isinstance(chosen, Selection) and want.module == "dkms":
        chosen.headers = headers(want.releases)
    return chosen


def _own(system: System, want: Want) -> Result:
    branches = OWN[system.major]
    if want.branch not in branches:
        return Refusal(
            f"Debian {system.major} has no driver of branch {want.branch}, but of {' and '.join(map(str, branches))}.",
            "Set source to vendor or mirror for this branch.",
        )
    if want.branch != branches[0]:
        return _named(want)
    kernel, other = ("nvidia-open-kernel-dkms", "nvidia-kernel-dkms")
    if not want.open:
        kernel, other = other, kernel
    packages = [Package(kernel, "kernel_module", same_version=True)] if want.module == "dkms" else []
    if want.profile == "full":
        packages.append(Package("nvidia-driver", "driver", same_version=True))
    else:
        packages.append(Package("libcuda1", "driver", same_version=True, unverified="debian-headless"))
    packages.append(Package("nvidia-smi", "utilities", same_version=True))
    # Its version is another one: Debian 12 has 535.171 beside a driver of 535.309.
    packages.append(Package("nvidia-persistenced", "persistence"))
    return Selection(packages=packages, components=list(COMPONENTS), remove=[other] if want.module == "dkms" else [])


def _named(want: Want) -> Result:
    """An older branch, whose packages have it in their names and proprietary modules only."""
    name = f"nvidia-tesla-{want.branch}"
    if want.open:
        return Refusal(
            f"Debian's packages of branch {want.branch} beside its own one have proprietary kernel modules only.",
            "Set flavour to proprietary, or leave branch at auto.",
        )
    packages = [Package(f"{name}-kernel-dkms", "kernel_module", same_version=True)] if want.module == "dkms" else []
    if want.profile == "full":
        packages.append(Package(f"{name}-driver", "driver", same_version=True))
    else:
        packages.append(Package(f"lib{name}-cuda1", "driver", same_version=True, unverified="debian-headless"))
    packages.append(Package(f"{name}-smi", "utilities", same_version=True))
    # Without it, the persistence daemon would bring the library of Debian's other branch.
    packages.append(Package(f"lib{name}-cfg1", "persistence", same_version=True))
    packages.append(Package("nvidia-persistenced", "persistence"))
    off = ["nvidia-kernel-dkms", "nvidia-open-kernel-dkms"] if want.module == "dkms" else []
    return Selection(packages=packages, components=list(COMPONENTS), remove=off)


def pinning(want: Want) -> Package:
    """The package of apt preferences that keeps a branch, or with `version` exactly that; goes in before the driver."""
    unsure = "before-580" if want.branch < DEFAULT else None
    return Package(f"nvidia-driver-pinning-{want.version or want.branch}", "pinning", unverified=unsure)


def _vendors(system: System, want: Want) -> Result:
    kernel, other = ("nvidia-kernel-open-dkms", "nvidia-kernel-dkms")
    if not want.open:
        kernel, other = other, kernel
    packages = []
    if want.module == "dkms":
        packages.append(Package(kernel, "kernel_module", same_version=True))
    if want.profile == "compute" or want.module == "none":
        packages.append(Package("nvidia-driver-cuda", "driver", same_version=True))
    elif want.open:
        packages.append(Package("nvidia-open", "driver", same_version=True))
    else:
        packages.append(Package("cuda-drivers", "driver", same_version=True, unverified="closed-full"))
    persistence = Package("nvidia-persistenced", "persistence", True, required=False, unverified="vendor-persistence")
    return Selection(
        first=[pinning(want)],
        packages=[*packages, persistence],
        # Needed by the vendor's packages.
        components=["contrib"],
        remove=[other] if want.module == "dkms" else [],
    )
