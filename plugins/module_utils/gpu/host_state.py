# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that the role gpu_driver wants to know of a host, by one look. Changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import (
    host_kernel,
    host_keys,
    host_nouveau,
    host_packages,
    host_secure_boot,
    host_sources,
    host_use,
    parts_host_look,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import Ask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import system as machine
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

RECORD = "/var/lib/mlops-onprem/gpu/driver.json"
FILE_LIMIT_BYTES = 4 * MIB
# Where packages, and what DKMS builds, take their space.
PLACES = ("/usr", "/var")


def files(tree: Tree, paths: list[str]) -> dict[str, str | None]:
    """The SHA-256 of each file; None where there is none."""
    found: dict[str, str | None] = {}
    for path in paths:
        data = tree.data(path, FILE_LIMIT_BYTES)
        found[path] = None if data is None else hashlib.sha256(data).hexdigest()
    return found


def keys(tree: Tree, paths: list[str]) -> dict[str, list[str] | None]:
    """The fingerprints in each file; None where there is none or it is no key."""
    found: dict[str, list[str] | None] = {}
    for path in paths:
        data = tree.data(path, host_keys.KEY_LIMIT_BYTES)
        try:
            found[path] = None if data is None else host_keys.fingerprints(data)
        except host_keys.NoKey:
            found[path] = None
    return found


def record(tree: Tree) -> dict[str, Any] | None:
    """What the role noted of its own changes. None where there is none; one that is broken says so in `state`."""
    text = tree.text(RECORD, FILE_LIMIT_BYTES)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"state": "broken"}


def units(names: list[str], ask: Ask) -> dict[str, dict[str, str]]:
    """`load`, `active` and `enabled` of each unit, as systemd says; nothing where there is no systemd."""
    if not names:
        return {}
    answer = ask(["systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState", "--", *names])
    if answer.code != 0:
        return {}
    # In the order of the question: a unit may answer with another of its names.
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in answer.output.strip().split("\n\n")
    ]
    if len(blocks) != len(names):
        return {}
    return {
        name: {
            "load": block.get("LoadState", ""),
            "active": block.get("ActiveState", ""),
            "enabled": block.get("UnitFileState", ""),
        }
        for name, block in zip(names, blocks)
    }


def free_bytes(tree: Tree) -> dict[str, int | None]:
    """What is free for others than root, in bytes."""
    found: dict[str, int | None] = {}
    for place in PLACES:
        try:
            space = os.statvfs(("" if tree.live else tree.root) + place)
            found[place] = space.f_bavail * space.f_frsize
        except OSError:
            found[place] = None
    return found


def look(hardware: Tree, system: Tree, wanted: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """Look at the host. `hardware`: whose /proc and /sys count; `system`: whose packages, kernels and files.

    `wanted`: `packages`, `units`, `files`, `key_files`, `repositories`, `users`.
    """
    architecture = machine.architecture_of({}) if not hardware.live else os.uname().machine
    release = host_kernel.running(hardware)
    bootable = host_kernel.installed(system)
    modules = host_kernel.modules(system, ask)
    loaded = host_kernel.loaded(hardware)
    nouveau = host_nouveau.read(hardware, system)
    noted = record(system)
    made = {name: list((noted or {}).get(name) or []) for name in ("files", "packages")}
    found: dict[str, Any] = {
        "container": machine.container(hardware) not in (None, "none"),
        "kernel": {
            "running": release,
            "installed": bootable,
            "headers": host_kernel.headers(system),
            "next": bootable[-1] if bootable else None,
            # Of the real machine: it tells whether this is the computer that Ansible runs on.
            "boot_id": system.text("/proc/sys/kernel/random/boot_id"),
        },
        "modules": modules,
        "loaded": loaded,
        "nouveau": nouveau,
        "secure_boot": host_secure_boot.read(hardware, system, architecture, ask),
        "free_bytes": free_bytes(system),
        "processes": host_use.read(hardware) if loaded else [],
        "dkms": host_kernel.dkms(system),
        "units": units(wanted["units"], ask),
        "files": files(system, list(dict.fromkeys([*wanted["files"], *made["files"]]))),
        "key_files": keys(system, wanted["key_files"]),
        "record": noted,
        "parts": parts_host_look.look(system.root, wanted.get("users", [])),
        **host_packages.read(system, [*wanted["packages"], *made["packages"]], ask),
        **host_sources.read(system, wanted["repositories"]),
    }
    built = modules.get(release or "", {}).get("version")
    found["reboot"] = {
        # What says that the running kernel is not the one that the driver on the disk is for.
        "loaded_version": loaded["version"] if loaded else None,
        "built_version": built,
        "nouveau_loaded": nouveau["loaded"],
        "running": release,
        "next": found["kernel"]["next"],
    }
    return found
