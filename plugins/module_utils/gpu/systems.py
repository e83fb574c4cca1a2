# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operating systems: which ones have tables, and what each is called in the vendors' repositories."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal


class System(NamedTuple):
    """A host's operating system, as the tables need it."""

    family: str
    identity: str
    version: str
    # amd64 or arm64, as Debian says.
    architecture: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def cuda_name(self) -> str:
        """The folder in NVIDIA's CUDA repository: no dots; of Debian and RHEL the major version only."""
        if self.family == "redhat":
            return f"rhel{self.major}"
        return f"{self.identity}{self.version.replace('.', '')}" if self.family == "ubuntu" else f"debian{self.major}"

    @property
    def cuda_architecture(self) -> str:
        return {"amd64": "x86_64", "arm64": "sbsa"}[self.architecture]

    @property
    def machine(self) -> str:
        """As the kernel says."""
        return {"amd64": "x86_64", "arm64": "aarch64"}[self.architecture]


# Family, and its versions: whole ones of Ubuntu, major ones of the rest.
KNOWN = {
    "debian": ("debian", ("12", "13")),
    "ubuntu": ("ubuntu", ("22.04", "24.04")),
    "rhel": ("redhat", ("9", "10")),
    "rocky": ("redhat", ("9", "10")),
    "almalinux": ("redhat", ("9", "10")),
}
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_REMEDY = "Use Debian 12 or 13, Ubuntu 22.04 or 24.04, RHEL, Rocky or AlmaLinux 9 or 10, on x86_64 or aarch64."


def system_of(facts: dict[str, Any]) -> System | Refusal:
    """The system by the facts' `system.os` and `system.architecture`."""
    told = facts.get("system") or {}
    release = told.get("os") or {}
    identity, version = str(release.get("id") or ""), str(release.get("version_id") or "")
    if not identity or not version:
        return Refusal(
            "The facts do not say which operating system this is (system.os).",
            "Gather mlops.onprem.hardware_facts on the host, which reads /etc/os-release.",
        )
    family, versions = KNOWN.get(identity, ("", ()))
    short = version if family == "ubuntu" else version.split(".", maxsplit=1)[0]
    if short not in versions:
        return Refusal(f"There is no driver table for {identity} {version}.", _REMEDY)
    architecture = _ARCHITECTURES.get(str(told.get("architecture") or ""))
    if architecture is None:
        return Refusal(f"There is no driver table for the architecture {told.get('architecture')}.", _REMEDY)
    return System(family, identity, version, architecture)
