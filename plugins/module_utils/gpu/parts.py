# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a data-centre node has beside its driver: by detection from the facts, or as a person says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES, PLAIN_PARTS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import NVLINK5, SUPERCHIPS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import PARTS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Package, Refusal
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.repositories import base_url
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

TOOLKIT = (
    *("nvidia-container-toolkit", "nvidia-container-toolkit-base"),
    *("libnvidia-container-tools", "libnvidia-container1"),
)
# Parts whose version is the driver's, and NVLink's subnet manager beside them.
FABRIC = ("fabric_manager", "nscq", "nvsdm", "imex", "nvlink5")
# The name at 580 and above, the name before with the branch after it, and the first branch that has it (apt, dnf).
_NAMES = {
    "nscq": ("libnvidia-nscq", 0, 0),
    "nvsdm": ("libnvsdm", 560, 560),
    "imex": ("nvidia-imex", 550, 570),
}
NVLINK5_FIRST = 570


@dataclass(frozen=True)
class Found:
    """What detection goes by."""

    pci_ids: frozenset[str]
    # None where the facts do not tell.
    nvswitches: int | None
    # Without the kernel's side, as in a container, nothing that runs on the host is put there.
    host: bool


def detect(found: Found, system: System, source: str) -> dict[str, bool]:
    """The answers of `auto`, for each part."""
    nvlink5 = bool(found.pci_ids & NVLINK5)
    fabric = bool(found.nvswitches) or nvlink5
    vendors = source != "distribution"
    answers = {
        "persistence": True,
        "fabric_manager": fabric,
        "nscq": fabric,
        "nvsdm": nvlink5 and system.architecture == "amd64",
        "imex": bool(found.pci_ids & SUPERCHIPS),
        "nvlink5": nvlink5,
        # Both are the vendor's only: who asks for the distribution's packages gets no others unasked.
        "dcgm": vendors,
        "container_toolkit": vendors,
        "mig_parted": False,
    }
    return {part: answers[part] and found.host for part in PARTS}


def missing_in(system: System, source: str, wanted: dict[str, bool]) -> Refusal | None:
    """Parts that the source does not have: a node with NVSwitches runs no CUDA program without Fabric Manager."""
    if source != "distribution":
        return None
    lacking = ["dcgm"] if system.family == "ubuntu" else ["dcgm", *FABRIC]
    asked = [part for part in lacking if wanted[part]]
    if not asked:
        return None
    return Refusal(
        f"The host needs {', '.join(asked)}, and {system.identity} {system.version} has no packages of these.",
        f"Set source to vendor or mirror, or parts.{asked[0]} to false to go without.",
    )


def packages(part: str, system: System, branch: int, source: str, options: dict[str, Any]) -> list[Package] | Refusal:
    """The packages of one part that is wanted."""
    unsure = "ubuntu-parts" if source == "distribution" else None
    if part == "fabric_manager":
        plain = branch >= PLAIN_PARTS
        before = "nvidia-fabric-manager" if system.family == "redhat" else f"nvidia-fabricmanager-{branch}"
        return [Package("nvidia-fabricmanager" if plain else before, part, True, unverified=unsure)]
    if part in _NAMES:
        return _suffixed(part, system, branch, unsure)
    if part == "nvlink5":
        if branch < NVLINK5_FIRST:
            return _too_old(part, branch, NVLINK5_FIRST)
        return [Package("nvlsm", part, unverified=unsure), Package("infiniband-diags", part)]
    if part == "dcgm":
        new = system.identity == "debian" and system.major >= 13
        major = BRANCHES[branch].cuda_major
        unsure = "dcgm-debian13" if new else "dcgm-cuda11" if major < 12 else None
        # numactl's library is recommended only, and recommendations are left out.
        library = "numactl-libs" if system.family == "redhat" else "libnuma1"
        name = f"datacenter-gpu-manager-4-cuda{major}"
        return [Package(name, part, required=not new, unverified=unsure), Package(library, part)]
    if part == "container_toolkit":
        version = options["container_toolkit_version"]
        unsure = "toolkit-debian" if system.identity == "debian" else "toolkit-version"
        return [Package(name, part, version=version, unverified=unsure) for name in TOOLKIT]
    return []


def _suffixed(part: str, system: System, branch: int, unsure: str | None) -> list[Package] | Refusal:
    name, deb, rpm = _NAMES[part]
    first = rpm if system.family == "redhat" else deb
    if branch < first:
        return _too_old(part, branch, first)
    if part == "nvsdm" and system.architecture != "amd64":
        return Refusal("nvsdm has packages for x86_64 only.", "Set parts.nvsdm to false.")
    return [Package(name if branch >= PLAIN_PARTS else f"{name}-{branch}", part, True, unverified=unsure)]


def _too_old(part: str, branch: int, first: int) -> Refusal:
    return Refusal(
        f"Branch {branch} has no packages of {part}, which begin with {first}.",
        f"Set branch to {PLAIN_PARTS}, or parts.{part} to false.",
    )


def mig_parted(system: System, options: dict[str, Any]) -> dict[str, Any]:
    """The download of nvidia-mig-parted, which no repository has."""
    version = options["mig_parted_version"]
    if system.family == "redhat":
        file = f"nvidia-mig-manager-{version}-1.{system.machine}.rpm"
    else:
        file = f"nvidia-mig-manager_{version}-1_{system.architecture}.deb"
    return {
        "part": "mig_parted",
        "url": f"{base_url('mig_parted', options)}/v{version}/{file}",
        "version": version,
        "sha256": options["mig_parted_sha256"],
        "verified": False,
        "unverified": "mig-parted-file",
    }
