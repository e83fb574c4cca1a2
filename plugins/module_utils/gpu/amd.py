# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AMD: the amdgpu kernel module by DKMS, and ROCm's user space.

AMD moved ROCm in 2026. Up to 7.2.4 it lies beside the kernel module's repository, in folders by version; since 7.13 in a
tree of its own with one suite for all versions, whose packages carry the version and the chip in their names.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import debian, redhat
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import (
    Package,
    Refusal,
    Repository,
    Result,
    Selection,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.repositories import base_url, key_place
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

# ROCm, and the amdgpu that AMD released with it; None where that is not known here.
ROCM: dict[str, str | None] = {"7.0.1": "30.10.1", "7.2.4": None, "7.13": None, "7.14": "31.40.1", "10.0": None}
OLD_TREE = ("7.0.1", "7.2.4")
# Names of chips in packages of the new tree, by the architecture of the facts.
CHIPS = {"CDNA 2": "gfx90a", "CDNA 3": "gfx942", "CDNA 4": "gfx950"}
# Accelerators that AMD's programs may serve, and no package names.
OLDER = ("CDNA", "GCN 5")
ACCELERATORS = (*CHIPS, *OLDER)
# AMD has no suite for Debian 12 and names that of Ubuntu 22.04; for Debian 13, it names none.
SUITES = {("ubuntu", "22.04"): "jammy", ("ubuntu", "24.04"): "noble", ("debian", "12"): "jammy"}
GROUPS = ["render", "video"]
# Debian's; Ubuntu and RHEL have it in what every host has.
FIRMWARE = "firmware-amd-graphics"
# Of the kernel module and the old tree; the new tree has a key of its own.
KEY = ("rocm/rocm.gpg.key", "CA8BB4727A47B4D09B4EE8969386B48A1A693C5C")


def _suite(system: System) -> str | None:
    version = system.version if system.family == "ubuntu" else str(system.major)
    return SUITES.get((system.identity, version))


def default_module(system: System, source: str, host: bool) -> str:
    """The module of `auto`: AMD's where it has a package, else the kernel's own."""
    packaged = source != "distribution" and (system.family == "redhat" or _suite(system) is not None)
    return "dkms" if host and packaged else "none"


def select(system: System, architectures: list[str], module: str, host: bool, options: dict[str, Any]) -> Result:
    """Packages and repositories for AMD's cards of these architectures; `host`: with the kernel's side."""
    if system.architecture != "amd64":
        return Refusal("AMD has packages for x86_64 only.", "Use AMD's accelerators in hosts with x86_64.")
    if options["source"] == "distribution":
        return _own(system, module)
    version = options["rocm_version"]
    if version not in ROCM:
        return Refusal(f"ROCm {version} is not known.", f"Set rocm_version to one of: {', '.join(ROCM)}.")
    chosen = Selection(version=version, remove=[])
    refusal = _kernel(chosen, system, module, version, options) or _user(
        chosen, system, version, architectures, options
    )
    if module == "none" and host and system.family == "debian":
        # The kernel's own module does nothing without it; amdgpu-dkms brings its own.
        chosen.packages.append(Package(FIRMWARE, "driver"))
        chosen.components = ["non-free-firmware"]
    return refusal or chosen


def _own(system: System, module: str) -> Result:
    name = f"{system.identity} {system.version}"
    if module != "none":
        return Refusal(
            f"{name} has no package of the amdgpu module, but the one of its kernel.",
            "Leave module at auto, or set source to vendor or mirror.",
        )
    if system.family == "redhat":
        return Refusal(f"{name} has no ROCm packages of its own.", "Set source to vendor or mirror.")
    firmware = system.family == "debian"
    names = [("rocminfo", "driver"), ("rocm-smi", "utilities")]
    return Selection(
        packages=[
            *([Package(FIRMWARE, "driver")] if firmware else []),
            *(Package(package, part, unverified="amd-distribution") for package, part in names),
        ],
        components=["non-free-firmware"] if firmware else ["universe"],
    )


def _kernel(chosen: Selection, system: System, module: str, version: str, options: dict[str, Any]) -> Refusal | None:
    if module == "none":
        chosen.unverified = ["amd-debian13"] if _suite(system) is None and system.family == "debian" else []
        return None
    if module != "dkms":
        return Refusal("AMD has no precompiled kernel modules.", "Set module to dkms, or none for the kernel's own.")
    driver, suite = options["amdgpu_version"] or ROCM[version], _suite(system)
    if driver is None:
        return Refusal(
            f"It is not known which version of amdgpu goes with ROCm {version}.",
            "Set amdgpu_version to the one that AMD's page for this ROCm names.",
        )
    if system.family != "redhat" and suite is None:
        return Refusal(
            f"AMD names no package of the amdgpu module for {system.identity} {system.version}.",
            "Leave module at auto: the module of the kernel is used.",
        )
    base = base_url("amd", options)
    known = (f"{base}/{KEY[0]}", key_place(system, "rocm"), KEY[1])
    if system.family == "redhat":
        release = str(system.major) if system.major >= 10 else system.version
        url = f"{base}/amdgpu/{driver}/el/{release}/main/x86_64/"
        chosen.repositories.append(Repository("amdgpu", "yum", url, *known, unverified="amd-el-key"))
        chosen.headers = redhat.headers(system, tuple(options["kernel_releases"]))
        chosen.distribution_repositories = ["crb", "epel"]
    else:
        chosen.repositories.append(
            Repository(
                *("amdgpu", "deb", f"{base}/amdgpu/{driver}/ubuntu", *known),
                suites=[str(suite)],
                components=["main"],
                architectures=["amd64"],
                unverified="amd-key",
            )
        )
        chosen.headers = debian.headers(tuple(options["kernel_releases"]))
        if system.family == "ubuntu":
            extra = [Package(f"linux-modules-extra-{name}", "headers") for name in options["kernel_releases"]]
            chosen.headers += extra
    chosen.packages.append(Package("amdgpu-dkms", "kernel_module"))
    return None


def _user(
    chosen: Selection, system: System, version: str, architectures: list[str], options: dict[str, Any]
) -> Refusal | None:
    full = options["profile"] == "full"
    if version in OLD_TREE:
        if system.family != "redhat" and _suite(system) is None:
            return Refusal(
                f"AMD has no repository of ROCm {version} for {system.identity} {system.version}.",
                "Set rocm_version to 7.14.",
            )
        chosen.packages.append(Package("rocm" if full else "rocm-hip-runtime", "driver"))
        chosen.repositories += _old_tree(system, version, options)
    else:
        chips = sorted({CHIPS[name] for name in architectures if name in CHIPS})
        whole = [Package(f"amdrocm{version}", "driver", unverified="amd-packages")]
        if any(name not in CHIPS for name in architectures):
            chips = []
        by_chip = [Package(f"amdrocm{version}-{chip}", "driver", unverified="amd-packages") for chip in chips]
        chosen.packages += by_chip or whole
        if full:
            chosen.packages.append(Package(f"amdrocm-core-sdk{version}", "driver", unverified="amd-packages"))
        # Both cannot be there at once.
        chosen.remove += ["rocm", "rocm-core", "rocm-hip-runtime"]
        chosen.unverified = [*chosen.unverified, "amd-conflicts"]
        chosen.repositories.append(_new_tree(system, options))
    if any(name in OLDER for name in architectures):
        chosen.unverified = [*chosen.unverified, "amd-older"]
    chosen.groups = list(GROUPS)
    if system.family != "redhat":
        # The distribution's packages of the same names would be taken where they are newer.
        origins = {urlsplit(repository.url).hostname or "" for repository in chosen.repositories}
        chosen.preferences = [
            {"package": "rocm* amdrocm*", "pin": f'origin "{origin}"', "priority": 600} for origin in sorted(origins)
        ]
    return None


def _old_tree(system: System, version: str, options: dict[str, Any]) -> list[Repository]:
    base = base_url("amd", options)
    known = (f"{base}/{KEY[0]}", key_place(system, "rocm"), KEY[1])
    if system.family == "redhat":
        url = f"{base}/rocm/el{system.major}/{version}/main"
        return [Repository("rocm", "yum", url, *known, unverified="amd-el-key")]
    folders = {"rocm": f"rocm/apt/{version}"}
    if version.startswith("7.0"):
        # This release has libraries of its graphics stack beside it.
        folders["rocm-graphics"] = f"graphics/{version}/ubuntu"
    return [
        Repository(
            *(name, "deb", f"{base}/{folder}", *known),
            suites=[str(_suite(system))],
            components=["main"],
            architectures=["amd64"],
            unverified="amd-key",
        )
        for name, folder in folders.items()
    ]


def _new_tree(system: System, options: dict[str, Any]) -> Repository:
    base, place = base_url("rocm", options), key_place(system, "amdrocm")
    key = f"{base}/gpg/rocm.gpg"
    if system.family == "redhat":
        url = f"{base}/rhel{system.major}/x86_64"
        return Repository("amdrocm", "yum", url, key, place, None, unverified="amdrocm-key")
    return Repository(
        *("amdrocm", "deb", f"{base}/{system.cuda_name}", key, place, None),
        suites=["stable"],
        components=["main"],
        architectures=["amd64"],
        unverified="amdrocm-key",
    )
