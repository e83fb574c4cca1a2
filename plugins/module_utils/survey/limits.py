# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the system, and what changes it behind the administrator's back: automatic updates, a reboot that is due."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import ini, running
from ansible_collections.mlops.onprem.plugins.module_utils.survey.proxies import apt_files

FILES_OF_SYSTEM = "/proc/sys/fs/file-max"
FILES_OF_PROCESS = "/proc/sys/fs/nr_open"
NAMESPACES = "/proc/sys/user/max_user_namespaces"
# Debian's own switch, and Ubuntu's from 24.04 on.
DEBIAN_SWITCH = "/proc/sys/kernel/unprivileged_userns_clone"
UBUNTU_SWITCH = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
REBOOT = "/run/reboot-required"
MAX_NAMES = 100


def read_namespaces(tree: Tree) -> bool | None:
    """Whether users without rights may make user namespaces, which rootless containers need."""
    most = tree.integer(NAMESPACES)
    if most is None:
        tree.note("limits.user_namespaces", NAMESPACES, tree.reason(NAMESPACES))
        return None
    return most > 0 and tree.integer(DEBIAN_SWITCH) != 0 and tree.integer(UBUNTU_SWITCH) != 1


def read_updates(tree: Tree, versions: dict[str, str] | None) -> list[str] | None:
    """The services that install updates by themselves; None where the packages are not known."""
    if versions is None:
        tree.note("limits.automatic_updates", *tree.notes.get("packages.versions", ("", "packages are not known")))
        return None
    found = []
    if "unattended-upgrades" in versions:
        settings: dict[str, str] = {}
        for path in apt_files(tree):
            settings.update(ini.apt_settings(tree.text(path)))
        if settings.get("apt::periodic::unattended-upgrade", "0") not in ("0", ""):
            found.append("unattended-upgrades")
    if running.enabled(tree, "dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer"):
        found.append("dnf-automatic")
    return found


def read_reboot(tree: Tree, manager: str | None) -> bool | None:
    """Whether a reboot is due. Only Debian and its kin leave a file; elsewhere a program would have to be asked."""
    if tree.exists(REBOOT):
        return True
    if manager == "dpkg" and tree.exists("/run"):
        return False
    tree.note("limits.reboot_required", REBOOT, "only dpkg's systems leave this file")
    return None


def read(tree: Tree, manager: str | None, versions: dict[str, str] | None) -> dict[str, Any]:
    """The `limits` facts. `manager`, `versions`: as in the `packages` facts."""
    facts: dict[str, Any] = {}
    for name, path in (("open_files_system", FILES_OF_SYSTEM), ("open_files_process", FILES_OF_PROCESS)):
        facts[name] = tree.integer(path)
        if facts[name] is None:
            tree.note(f"limits.{name}", path, tree.reason(path))
    packages = (tree.text(REBOOT + ".pkgs") or "").split()
    return {
        **facts,
        "user_namespaces": read_namespaces(tree),
        "automatic_updates": read_updates(tree, versions),
        "reboot_required": read_reboot(tree, manager),
        "reboot_packages": sorted(set(packages))[:MAX_NAMES],
    }
