# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels: which ones there are, which modules of a GPU driver they have, and which one is loaded."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import Ask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.accelerators import nvidia_driver_version
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

MODULES = "/lib/modules"
NVIDIA_VERSION = "/proc/driver/nvidia/version"
# Debian names the module after the package: nvidia-current, nvidia-current-open, nvidia-tesla-535.
_FILES = re.compile(r"(nvidia(-current(-open)?|-tesla(-\d+)?)?|amdgpu)\.ko(\.(xz|gz|zst))?")
_FOLDERS = ("updates/dkms", "updates", "extra", "kernel/drivers/video", "kernel/drivers/char/drm")
_DKMS = re.compile(r"kernel-(.+)-([^-]+)")


def by_release(release: str) -> list[tuple[int, int | str]]:
    """A key that sorts `6.1.0-9` before `6.1.0-40`, and Debian's other flavours of one kernel beside each other."""
    return [(1, int(part)) if part.isdigit() else (0, part) for part in re.findall(r"\d+|[^\d]+", release)]


def running(hardware: Tree) -> str | None:
    """The release of the running kernel."""
    text = hardware.text("/proc/sys/kernel/osrelease")
    if text:
        return text
    match = re.match(r"Linux version (\S{1,128})", hardware.text("/proc/version") or "")
    return match.group(1) if match else None


def installed(system: Tree) -> list[str]:
    """Kernels that can be booted, oldest first."""
    names = [name[len("vmlinuz-") :] for name in system.names("/boot") if name.startswith("vmlinuz-")]
    return sorted({name for name in names if system.exists(f"{MODULES}/{name}")}, key=by_release)


def headers(system: Tree) -> list[str]:
    """Kernels whose headers are there: a module can be built for them."""
    return [name for name in system.names(MODULES) if system.exists(f"{MODULES}/{name}/build/Makefile")]


def parse_modinfo(text: str) -> dict[str, str]:
    """The fields of `modinfo`; of one that is there more than once, the first."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and re.fullmatch(r"\w+", name):
            fields.setdefault(name, value.strip())
    return fields


def flavour(license_text: str) -> str:
    """open or proprietary, by the licence that a module states: `Dual MIT/GPL` is that of the open ones."""
    return "open" if "GPL" in license_text else "proprietary"


def _paths(system: Tree, release: str) -> list[str]:
    folder = f"{MODULES}/{release}"
    precompiled = [f"kernel/{name}" for name in system.names(f"{folder}/kernel") if name.startswith("nvidia-")]
    found = []
    for place in [*_FOLDERS, *precompiled]:
        found += [f"{folder}/{place}/{name}" for name in system.names(f"{folder}/{place}") if _FILES.fullmatch(name)]
    return found


def modules(system: Tree, ask: Ask) -> dict[str, dict[str, Any]]:
    """By kernel: name, version, licence, flavour, key and place of the driver's module, and the `names` of all of them.

    With several, it is NVIDIA's that is found first.
    """
    found: dict[str, dict[str, Any]] = {}
    for release in system.names(MODULES):
        told = [record for record in (_module(path, ask) for path in _paths(system, release)) if record]
        told.sort(key=lambda record: record["name"] == "amdgpu")
        if told:
            found[release] = {**told[0], "names": [record["name"] for record in told]}
    return found


def _module(path: str, ask: Ask) -> dict[str, Any] | None:
    answer = ask(["modinfo", path])
    fields = parse_modinfo(answer.output) if answer.code == 0 else {}
    if not fields:
        return None
    name = path.rsplit("/", 1)[-1].split(".ko")[0]
    return {
        "name": name,
        "path": path,
        "version": fields.get("version"),
        "license": fields.get("license"),
        "flavour": None if name == "amdgpu" else flavour(fields.get("license", "")),
        "sig_key": fields.get("sig_key"),
        "signer": fields.get("signer"),
        "vermagic": fields.get("vermagic", "").split(" ")[0] or None,
    }


def loaded(hardware: Tree) -> dict[str, Any] | None:
    """Name, version, flavour and users of the GPU driver's module that is loaded now."""
    text = hardware.text(NVIDIA_VERSION)
    version = hardware.text("/sys/module/nvidia/version") or nvidia_driver_version(text)
    if version or hardware.exists("/sys/module/nvidia"):
        kind = None if text is None else "open" if "Open Kernel Module" in text else "proprietary"
        name = "nvidia"
    elif hardware.exists("/sys/module/amdgpu"):
        name, kind, version = "amdgpu", None, hardware.text("/sys/module/amdgpu/version")
    else:
        return None
    return {
        "name": name,
        "version": version,
        "flavour": kind,
        "holders": hardware.names(f"/sys/module/{name}/holders"),
        "references": hardware.integer(f"/sys/module/{name}/refcnt"),
    }


def dkms(system: Tree) -> list[dict[str, str]]:
    """What DKMS knows of the driver: module, version, kernel, and whether it is built for it (`installed`) or not (`added`)."""
    found = []
    for module in system.names("/var/lib/dkms"):
        if not re.match(r"nvidia|amdgpu", module):
            continue
        folder = f"/var/lib/dkms/{module}"
        kernels = [_DKMS.fullmatch(name) for name in system.names(folder)]
        versions = [name for name in system.names(folder) if system.exists(f"{folder}/{name}/source")]
        for version in versions:
            built = [
                match.group(1)
                for match in kernels
                if match and system.exists(f"{folder}/{version}/{match.group(1)}/{match.group(2)}")
            ]
            found += [
                {"module": module, "version": version, "kernel": kernel, "state": "installed"} for kernel in built
            ] or [{"module": module, "version": version, "kernel": "", "state": "added"}]
    return found
