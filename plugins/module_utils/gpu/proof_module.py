# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel module on the disk, by modinfo, and the one that is loaded, against what was chosen."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, PENDING, row
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

MODULES = {"nvidia": "nvidia", "amd": "amdgpu"}
NVIDIA_VERSION = "/proc/driver/nvidia/version"
# By kernel release, what modinfo says: version, license, flavour.
Modules = dict[str, dict[str, Any]]


def loaded(tree: Tree, vendor: str) -> dict[str, str | None]:
    """version and flavour of the loaded module; None where none is loaded, or it does not say."""
    version = tree.text(f"/sys/module/{MODULES[vendor]}/version")
    text = tree.text(NVIDIA_VERSION) if vendor == "nvidia" else None
    kind = None
    if text:
        kind = "open" if "Open Kernel Module" in text else "proprietary"
    return {"version": version, "flavour": kind}


def rows(vendor: str, releases: list[str], found: Modules, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each kernel release. `wanted` has version, branch and flavour, each of which may be None."""
    result = []
    for release in releases:
        module = found.get(release)
        name = MODULES[vendor]
        again = f"`dkms status` and /var/lib/dkms/*/*/build/make.log show why it was not built for {release}"
        if module is None:
            result.append(row("module", FAIL, f"{release} has no module {name}", remedy=again))
            continue
        version, kind = module.get("version"), module.get("flavour")
        told = f"{name} {version or 'of the kernel'} for {release}, licence {module.get('license')}"
        problem = None
        if wanted.get("flavour") and kind != wanted["flavour"]:
            problem = f"the {wanted['flavour']} one"
        elif wanted.get("version") and version and not same(version, str(wanted["version"])):
            problem = f"version {wanted['version']}"
        elif vendor == "nvidia" and wanted.get("branch") and not str(version).startswith(f"{wanted['branch']}."):
            problem = f"of branch {wanted['branch']}"
        if problem:
            mend = "Another package or a hand-made install owns it: `modinfo -n` shows the file, `dpkg -S` the package"
            result.append(row("module", FAIL, told, problem, mend))
        else:
            result.append(row("module", PASS, told))
    return result


def same(one: str, other: str) -> bool:
    """Whether two versions are of one driver: a package's version has a revision behind it (`580.178.04-1`)."""
    return one == other or other.startswith((one + "-", one + "~", one + "+"))


def running(
    vendor: str, on_disk: dict[str, Any] | None, now: dict[str, str | None], pending: bool
) -> list[dict[str, Any]]:
    """Whether the loaded module is the one on the disk; `pending` says that the reboot is left to people."""
    if not on_disk or not now["version"]:
        # amdgpu of the kernel states no version; a module that is not loaded yet is loaded by the first question.
        return []
    kinds = now["flavour"] and on_disk.get("flavour") and now["flavour"] != on_disk["flavour"]
    if now["version"] == on_disk.get("version") and not kinds:
        return [row("loaded", PASS, f"{MODULES[vendor]} {now['version']} is loaded")]
    told = f"{MODULES[vendor]} {now['version']} ({now['flavour'] or 'unknown kind'}) is loaded"
    wanted = f"{on_disk['version']} ({on_disk['flavour'] or 'unknown kind'}), as installed"
    verdict = PENDING if pending else FAIL
    return [row("loaded", verdict, told, wanted, "Reboot the host, then run this again")]
