# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems and their mounts: made, adopted, grown, mounted by UUID."""

from __future__ import annotations

import uuid
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.storage import sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Base, Case, Plan, claim, interrupted
from ansible_collections.mlops.onprem.plugins.module_utils.storage.selection import Chosen
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import ENTRIES_SHOWN, NO_DIRECTORY, State

# A file system ends on a block group or an allocation group: a device that is larger by more has grown. xfs asks for 64 blocks
# (xfs_growfs), ext4 drops a last group that is smaller than its own tables (at most some 1,600 blocks).
GROWN_BYTES = 8 * sizes.MIB
# docs/storage.md says why, option by option.
MKFS = {"xfs": [], "ext4": ["-m", "0"]}
MOUNT = {"xfs": ["noatime", "logbsize=256k"], "ext4": ["noatime"]}
# The boot does not wait (nofail), so that the mount can: a degraded array is only started after 30 s (mdadm-last-resort).
EVERY_MOUNT = ["nofail", "x-systemd.device-timeout=5min"]
QUOTA = "prjquota"
# Options of which a mount has one.
_FAMILIES = ({"noatime", "relatime", "strictatime", "atime"}, {"discard", "nodiscard"}, {"ro", "rw"})


def options_of(filesystem: str, extra: list[str], quota: bool) -> list[str]:
    """Return the mount options: the role's own, replaced or followed by those that were given."""
    options = [*MOUNT[filesystem], *([QUOTA] if quota else []), *EVERY_MOUNT]
    for option in extra:
        family = next((names for names in _FAMILIES if option in names), {option})
        key = option.partition("=")[0]
        options = [old for old in options if old not in family and old.partition("=")[0] != key]
        options.append(option)
    return options


def announce(plan: Plan, wish: dict[str, Any], size: int, quota: bool) -> None:
    """Show what will be made on a device that is not there yet."""
    mount, kind = wish["mount"].rstrip("/"), wish["filesystem"]
    plan.row(f"file system {mount}", f"{kind}, {sizes.shown(size)}", "nothing", "make")
    plan.row(f"mount {mount}", ",".join(options_of(kind, wish["mount_options"], quota)), "not mounted", "mount")


def plan_file_system(case: Case, where: str, wish: dict[str, Any], base: Base, quota: bool) -> None:
    """Plan one file system on `base` and its mount; `wish` has filesystem, mkfs_options, mount and mount_options.

    base.size_bytes is what the device has when the steps so far are done; base.block is None while it is not there yet.
    """
    plan, state = case.plan, case.state
    kind, mount, block = wish["filesystem"], wish["mount"].rstrip("/"), base.block
    what, key = f"file system {mount}", f"filesystem:{mount}"
    found = state.signatures.get(block.name, []) if block else []
    system = state.file_systems.get(block.name) if block else None
    if block and (not found or not any(entry.type == kind for entry in found) or len(found) > 1):
        # A volume or array of ours with a signature is never wiped: only disks, which a person named.
        device = [Chosen(block, base.named and block.kind in ("disk", "part"))]
        if not claim(plan, where, key, device, state, case.allow_destroy):
            return
        found, system = [], None
    if system and system.half_made:
        if block and not interrupted(state, key, block, base.path):
            plan.problems.append(
                f"{where}: making {kind} on {block.said} was interrupted, not by this role; if nothing on it is needed, run 'wipefs --all {base.path}'"
            )
            return
        found = []
    if found and block:
        plan.whole.add(key)
        identity = system.uuid if system else found[0].uuid
        if not identity:
            plan.problems.append(
                f"{where}: the {kind} on {block.said} tells no UUID, by which it would be mounted; look at it with 'blkid --probe {base.path}'"
            )
            return
        size = system.size_bytes if system else 0
        grow = size and base.size_bytes - size > GROWN_BYTES
        plan.row(what, kind, f"{kind}, {sizes.shown(size)}" if size else kind, "grow" if grow else "keep")
        _mount(plan, where, wish, identity, block, quota, state)
        if grow:
            # Online and after mounting: xfs grows only there.
            plan.step("grow", f"Grow {kind} at {mount}", device=base.path, filesystem=kind)
        return
    # Chosen here, so that the line in fstab is known before the file system is there.
    noted = state.journal.get(key, {}).get("uuid")
    identity = noted or str(uuid.uuid4())
    plan.row(
        what,
        f"{kind}, {sizes.shown(base.size_bytes)}",
        "unfinished" if system else "nothing",
        "make again" if system else "make",
    )
    if system:
        # The module changes the UUID of what has the type already, and would make nothing.
        plan.commands(f"Clear the unfinished {kind} from {base.path}", ["wipefs", "--all", base.path])
    plan.step(
        "filesystem",
        f"Make {kind} for {mount}",
        device=base.path,
        filesystem=kind,
        options=" ".join([*MKFS[kind], *wish["mkfs_options"]]),
        uuid=identity,
    )
    plan.about_to_make(key, [block.identity if block and block.kind != "dm" else (base.path, "")])
    plan.journal[key]["uuid"] = identity
    _mount(plan, where, wish, identity, block, quota, state)


def _mount(
    plan: Plan, where: str, wish: dict[str, Any], identity: str, block: Block | None, quota: bool, state: State
) -> None:
    mount, kind = wish["mount"].rstrip("/"), wish["filesystem"]
    options = options_of(kind, wish["mount_options"], quota)
    source = f"UUID={identity}"
    here = [entry for entry in state.mounts if entry.mount == mount and entry.type != "autofs"]
    mounted = bool(here) and block is not None and here[-1].number == block.number
    if here and not mounted:
        plan.problems.append(
            f"{where}: at {mount}, {here[-1].device} is mounted; unmount it and its line in /etc/fstab first, or mount elsewhere"
        )
        return
    elsewhere = [place for place in (block.mounts if block else []) if place != mount]
    if elsewhere and not mounted:
        plan.problems.append(
            f"{where}: its file system is mounted at {elsewhere[0]}, and mount is {mount}; set what is there, or unmount it and "
            "remove its line in /etc/fstab first"
        )
        return
    entry = state.fstab.get(mount)
    if entry and entry.source != source:
        other = state.at(entry.source)
        if other is None or block is None or other.name != block.name:
            plan.problems.append(
                f"{where}: /etc/fstab mounts {entry.source} at {mount}; remove that line first, or mount elsewhere"
            )
            return
    inside = state.entries.get(mount, [])
    if inside == [NO_DIRECTORY]:
        plan.problems.append(f"{where}: {mount} is there and no directory; move it away first, or mount elsewhere")
        return
    if inside and not mounted:
        more = " and more" if len(inside) > ENTRIES_SHOWN else ""
        plan.problems.append(
            f"{where}: {mount} is not empty ({', '.join(inside[:ENTRIES_SHOWN])}{more}), and a file system mounted there would hide it; move that away first"
        )
        return
    wanted = ",".join(options)
    same = entry is not None and entry.source == source and entry.options == tuple(options) and entry.type == kind
    counts = not quota or mount in state.with_quotas
    if mounted and same and counts:
        plan.row(f"mount {mount}", wanted, "mounted", "keep")
        return
    found = "mounted" if mounted else "not mounted"
    if entry and not same:
        found += f", fstab: {','.join(entry.options)}"
    if mounted and not counts:
        found += ", without quotas"
        # xfs takes this option with a mount and not with a remount (xfs(5)). What is in use stays mounted, and umount says so.
        plan.commands(f"Unmount {mount}, since xfs counts from a mount on: nothing may use it", ["umount", mount])
    plan.row(f"mount {mount}", wanted, found, "change" if mounted else "mount")
    plan.step(
        "mount",
        f"Mount {mount}",
        source=source,
        mount=mount,
        filesystem=kind,
        options=wanted,
        # The root file system's check order is 1; xfs is checked when it is mounted.
        passno="2" if kind == "ext4" else "0",
        new=mount not in state.entries,
        mounted=mounted and counts,
    )
