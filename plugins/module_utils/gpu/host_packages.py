# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages: what dpkg has, what apt could get, and which versions of it."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import Ask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey.packages import (
    DATABASE_LIMIT_BYTES,
    DPKG_STATUS,
    INSTALLER_TRACES,
    parse_dpkg,
)

# By the beginning of the name: all that a driver consists of, whoever made it.
OURS = re.compile(
    r"(lib)?nvidia|libcuda(1|debugger1)?$|libnv|cuda-(drivers|keyring|compat)|xserver-xorg-video-nvidia|firmware-nvidia"
    r"|lib(egl|gl|gles|glx)[a-z0-9-]*nvidia|libxnvctrl|glx-(alternative|diversions)|update-glx|datacenter-gpu-manager|nvlsm"
    r"|linux-(modules|objects|signatures)-nvidia|amdgpu|amdrocm|rocm|hsa-|hip|comgr|dkms$|mokutil$|sbsigntool$"
)
# A source that has the version; dpkg's own database is none.
_FROM = re.compile(r" {8,}-?\d+ (?!/var/lib/dpkg/status$)\S")
_VERSION = re.compile(r"(?: \*\*\*|    ) (\S+) -?\d+$")


def parse_policy(text: str) -> dict[str, tuple[str | None, list[str]]]:
    """The output of `apt-cache policy NAME...`: by name, the candidate and all versions that a source has.

    A version that only dpkg's own database knows is no version that could be installed.
    """
    found: dict[str, tuple[str | None, list[str]]] = {}
    name = version = ""
    for line in text.splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            name, version = line[:-1], ""
            found[name] = (None, [])
            continue
        if not name:
            continue
        if line.startswith("  Candidate: "):
            candidate = line[len("  Candidate: ") :].strip()
            found[name] = (None if candidate == "(none)" else candidate, found[name][1])
            continue
        match = _VERSION.match(line)
        if match:
            version = match.group(1)
        elif version and _FROM.match(line) and version not in found[name][1]:
            found[name][1].append(version)
    return found


def read(tree: Tree, names: list[str], ask: Ask) -> dict[str, Any]:
    """`packages` (installed versions), `candidates`, `versions`, `held`, `broken`, `manager`.

    `names`: whose candidates are asked for; of the installed ones, those that belong to a driver are told, too.
    """
    data = tree.data(DPKG_STATUS, DATABASE_LIMIT_BYTES)
    installed = list(parse_dpkg(data)) if data else []
    wanted = set(names)
    packages = {
        package.name: package.version
        for package in installed
        if package.state in ("installed", "triggers-awaited", "triggers-pending")
        and (package.name in wanted or OURS.match(package.name))
    }
    asked = sorted(wanted | set(packages))
    answer = ask(["apt-cache", "policy", *asked]) if data is not None and asked else None
    policy = parse_policy(answer.output) if answer is not None and answer.code == 0 else {}
    return {
        "manager": "apt" if data is not None else None,
        "packages": packages,
        "candidates": {name: candidate for name, (candidate, versions) in policy.items() if candidate and versions},
        "versions": {name: versions for name, (candidate, versions) in policy.items() if versions},
        "held": sorted({package.name for package in installed if package.held}),
        "broken": sorted(
            package.name
            for package in installed
            if package.state not in ("installed", "triggers-awaited", "triggers-pending")
        ),
        "run_file": _run_file(tree, packages),
    }


def _run_file(tree: Tree, packages: dict[str, str]) -> str | None:
    """What NVIDIA's own installer left, None where it was not here. Packages of some distributions ship the same names."""
    if any(re.match(r"nvidia-(installer|uninstall)", name) for name in packages):
        return None
    return next((path for path in INSTALLER_TRACES[:2] if tree.exists(path)), None)
