# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RHEL and its relatives, 9 and 10: the vendor's driver by module streams, and on 10, which has none, by version locks."""

from __future__ import annotations

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import DEFAULT
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Package, Refusal, Result, Selection, Want
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

# The first release without module streams.
NO_STREAMS = 10


def default_branch(system: System, source: str) -> int | None:
    """The branch of `auto`; None as the distribution has no driver."""
    return None if source == "distribution" else DEFAULT


def headers(system: System, releases: tuple[str, ...]) -> list[Package]:
    """Headers of exactly these kernels. Without its release, kernel-devel-matched would bring a newer kernel."""
    unsure = "el10" if system.major >= NO_STREAMS else None
    kinds = ("kernel-devel", "kernel-headers", "kernel-devel-matched")
    return [Package(f"{kind}-{release}", "headers", unverified=unsure) for release in releases for kind in kinds]


def driver(system: System, want: Want) -> Result:
    """The driver's packages, without parts."""
    name = f"{system.identity} {system.major}"
    if want.source == "distribution":
        return Refusal(f"{name} has no NVIDIA driver of its own.", "Set source to vendor or mirror.")
    streams = system.major < NO_STREAMS
    if want.module == "precompiled" and (want.open or not streams):
        return Refusal(
            f"It is not known whether {name} has precompiled kernel modules of the kind {want.flavour}.",
            "Set module to dkms; on release 9, proprietary modules are there precompiled.",
        )
    packages: list[Package] = []
    if want.module == "dkms":
        packages.append(
            Package("kmod-nvidia-open-dkms", "kernel_module", True)
            if want.open
            else Package("kmod-nvidia-latest-dkms", "kernel_module", True)
        )
    elif want.module == "precompiled":
        packages.append(Package("kmod-nvidia", "kernel_module", required=False, unverified="el-precompiled"))
    if want.profile == "compute" or want.module == "none":
        packages.append(Package("nvidia-driver-cuda", "driver", True))
    elif want.open:
        packages.append(Package("nvidia-open", "driver", True))
    else:
        packages.append(Package("cuda-drivers", "driver", True, unverified="closed-full"))
    packages.append(
        Package("nvidia-persistenced", "persistence", True, required=False, unverified="vendor-persistence")
    )
    dkms = want.module == "dkms"
    kind = {"dkms": "-open" if want.open else "-dkms", "precompiled": "", "none": "-open" if want.open else "-dkms"}
    lock = f"*nvidia*{want.version or want.branch}*"
    return Selection(
        first=[Package("python3-dnf-plugin-versionlock", "pinning")],
        packages=packages,
        headers=headers(system, want.releases) if dkms else [],
        # dkms itself is in EPEL, which needs CRB.
        distribution_repositories=["crb", "epel"] if dkms else [],
        module_stream={"name": "nvidia-driver", "stream": f"{want.branch}{kind[want.module]}"} if streams else None,
        # A stream keeps the branch, a lock the version.
        version_locks=[lock] if want.version or not streams else [],
        remove=["kmod-nvidia-latest-dkms" if want.open else "kmod-nvidia-open-dkms"] if dkms else [],
    )
