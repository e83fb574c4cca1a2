# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ubuntu: Canonical's own driver, with modules that Canonical signed, and the vendor's for it."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import debian
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import DEFAULT, PLAIN_DRIVER
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Package, Refusal, Result, Selection, Want
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

OWN = (535, 570, 580, 595, 615)
# Branches whose packages became empty ones that bring another branch: no stable pins.
TURNED = {565: 580, 590: 595, 610: 615}
# 580 is in restricted; the user space of later ones is in multiverse, in part.
RESTRICTED = 580


def default_branch(system: System, source: str) -> int | None:
    """The branch of `auto`: the one with long-term support."""
    return DEFAULT


def driver(system: System, want: Want) -> Result:
    """The driver's packages, without parts."""
    if want.source == "distribution":
        return _own(system, want)
    if want.module == "precompiled":
        return Refusal(
            "The vendor's repository for Ubuntu has no precompiled kernel modules.",
            "Set module to dkms, or source to distribution: Canonical builds and signs modules for its kernels.",
        )
    return _vendors(want)


def _own(system: System, want: Want) -> Result:
    if want.branch in TURNED:
        return Refusal(
            f"Ubuntu's packages of branch {want.branch} bring branch {TURNED[want.branch]}.",
            f"Set branch to {TURNED[want.branch]} or {DEFAULT}, or source to vendor or mirror.",
        )
    if want.branch not in OWN:
        return Refusal(
            f"Ubuntu has no -server driver of branch {want.branch}, but of {', '.join(map(str, OWN))}.",
            "Set source to vendor or mirror for this branch.",
        )
    server, flavour = f"{want.branch}-server", "-open" if want.open else ""
    unsure = None if want.branch == DEFAULT else "ubuntu-server-branches"
    kernel: list[Package] = []
    headers: list[Package] = []
    if want.module == "precompiled":
        for release in want.releases:
            # Their version is the kernel's.
            name = f"linux-modules-nvidia-{server}{flavour}-{release}"
            kernel.append(Package(name, "kernel_module", unverified=unsure))
            if system.architecture == "amd64":
                kernel.append(Package(f"linux-signatures-nvidia-{release}", "kernel_module"))
    elif want.module == "dkms":
        kernel.append(Package(f"nvidia-dkms-{server}{flavour}", "kernel_module", True, unverified=unsure))
        headers = debian.headers(want.releases)
    if want.profile == "full" and want.module != "none":
        user = Package(f"nvidia-driver-{server}{flavour}", "driver", True, unverified="ubuntu-full")
    else:
        name = f"nvidia-headless-no-dkms-{server}{flavour}"
        user = Package(name, "driver", True, unverified="ubuntu-open-userland" if want.open else unsure)
    return Selection(
        packages=[*kernel, user, Package(f"nvidia-utils-{server}", "utilities", True, unverified=unsure)],
        headers=headers,
        components=["restricted"] if want.branch <= RESTRICTED else ["restricted", "multiverse"],
        remove=[_other(f"nvidia-dkms-{server}", want)] if want.module == "dkms" else [],
    )


def _other(closed: str, want: Want) -> str:
    """The DKMS package of the other flavour."""
    return closed if want.open else f"{closed}-open"


def _vendors(want: Want) -> Result:
    plain = want.branch >= PLAIN_DRIVER
    end, flavour = "" if plain else f"-{want.branch}", "-open" if want.open else ""
    pair = "ubuntu-plain-closed" if plain and not want.open else None
    packages = []
    if want.module == "dkms":
        unsure = pair or (None if want.open else "ubuntu-closed-compute")
        packages.append(Package(f"nvidia-dkms{end}{flavour}", "kernel_module", True, unverified=unsure))
    if want.profile == "compute" or want.module == "none":
        packages.append(Package(f"libnvidia-compute{end}", "driver", True))
        packages.append(Package(f"nvidia-utils{end}", "utilities", True, unverified="ubuntu-utilities"))
        daemon = "nvidia-persistenced" if plain else f"nvidia-compute-utils{end}"
        packages.append(Package(daemon, "persistence", True, required=False, unverified="vendor-persistence"))
    elif want.open:
        suffix = end if want.branch < DEFAULT else ""
        unsure = "ubuntu-suffixed-open" if suffix else None
        packages.append(Package(f"nvidia-open{suffix}", "driver", True, unverified=unsure))
    else:
        packages.append(Package(f"cuda-drivers{end}", "driver", True, unverified="closed-full" if plain else None))
    return Selection(
        first=[debian.pinning(want)],
        packages=packages,
        headers=debian.headers(want.releases) if want.module == "dkms" else [],
        remove=[_other(f"nvidia-dkms{end}", want)] if want.module == "dkms" else [],
    )
