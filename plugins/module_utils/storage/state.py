# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's disks hold now, read once; the planning works on this alone."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import mounts
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import KIB, MIB, Tree
from ansible_collections.mlops.onprem.plugins.module_utils.storage import (
    blocks,
    fstab,
    journal,
    lvm,
    places,
    signatures,
    xfs,
)
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import FileSystem, Signature

# (arguments) -> (return code, output, errors)
Run = Callable[[list[str]], "tuple[int, str, str]"]
# program -> package key; what each kind of pool needs
PROGRAMS = {
    "mdadm": "mdadm",
    "lvm": "lvm2",
    "mkfs.xfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs",
    "thin_check": "thin-provisioning-tools",
}
# What a line in fstab can name a device by (fstab(5)); each is a folder below /dev/disk, too.
_TAGS = ("UUID", "LABEL", "PARTUUID", "PARTLABEL")
_QUOTES = "\"'"
# The two names of the option by which xfs counts by project (xfs(5)).
PROJECT_QUOTAS = {"prjquota", "pquota"}
# How much is read at each end of a device to know that it can be read; the farthest signature, of ZFS, is within.
ENDS_BYTES = 512 * KIB
# How many names of a directory that is not empty are told.
ENTRIES_SHOWN = 3
# Stands for them where there is something else than a directory; no name of a file has a slash.
NO_DIRECTORY = "/"


class Unreadable(Exception):
    """The host's state cannot be read, so that nothing may be planned; says what and why."""


@dataclass
class State:
    """Everything that a plan depends on. `entries` are the names in the wanted mount points that are directories now."""

    blocks: dict[str, Block] = field(default_factory=dict)
    signatures: dict[str, list[Signature]] = field(default_factory=dict)
    file_systems: dict[str, FileSystem] = field(default_factory=dict)
    groups: dict[str, lvm.Group] = field(default_factory=dict)
    fstab: dict[str, fstab.Entry] = field(default_factory=dict)
    mounts: list[mounts.Mount] = field(default_factory=list)
    # Mount points that count by project; an option of fstab that no mount has taken does not count.
    with_quotas: set[str] = field(default_factory=set)
    entries: dict[str, list[str]] = field(default_factory=dict)
    programs: set[str] = field(default_factory=set)
    journal: dict[str, Any] = field(default_factory=dict)

    def at(self, path: str) -> Block | None:
        """Return the block device that a path, or the first field of a line in fstab (`UUID=…`), names; None for any other."""
        tag, equals, value = path.partition("=")
        if equals and tag.upper() in _TAGS:
            path = f"/dev/disk/by-{tag.lower()}/{value.strip(_QUOTES)}"
        paths = {path}
        if path.startswith("/dev/") and path.count("/") == 3:
            # LVM's own link to a volume, which udev does not keep with those of disks.
            group, volume = path[len("/dev/") :].split("/")
            paths.add(f"/dev/mapper/{group.replace('-', '--')}-{volume.replace('-', '--')}")
        for block in self.blocks.values():
            mapped = f"/dev/mapper/{block.mapped_name}" if block.mapped_name else ""
            if paths & {block.path, mapped, *block.links}:
                return block
            system = self.file_systems.get(block.name)
            if system and path == f"/dev/disk/by-uuid/{system.uuid}":
                return block
        return None

    def volume(self, group: str, name: str) -> Block | None:
        """Return the block device of a logical volume; None where it is not there or not active."""
        mapped = f"{group.replace('-', '--')}-{name.replace('-', '--')}"
        return next((block for block in self.blocks.values() if block.mapped_name == mapped), None)


def find_programs() -> set[str]:
    """Return which of PROGRAMS are there; sbin is not on every PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return {name for name in PROGRAMS if shutil.which(name, path=path)}


def look(path: str, size: int) -> tuple[bytes, str, bool]:
    """Return (first bytes, why the device cannot be read or empty, whether somebody else has claimed it).

    wipefs says nothing and ends with 0 where reading fails: a broken disk would look like an empty one. So both ends, where
    signatures are, are read here, too. An exclusive open fails where the kernel's own users (file systems, md, LVM, ZFS, iSCSI
    targets) have the device, seen from here or not; mkfs, mdadm and wipefs look in the same way (open(2), O_EXCL).
    """
    claimed = False
    try:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_EXCL)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            claimed = True
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(handle, ENDS_BYTES, 0)
            tail = os.pread(handle, ENDS_BYTES, max(0, size - ENDS_BYTES))
        finally:
            os.close(handle)
    except OSError as error:
        return b"", os.strerror(error.errno or errno.EIO), claimed
    wanted = min(size, ENDS_BYTES)
    return head, "" if len(head) >= wanted and len(tail) >= wanted else "it ends too early", claimed


def read_signatures(run: Run, found: list[Block]) -> dict[str, list[Signature]]:
    """Return what wipefs finds, by kernel name. A device that it cannot open is marked as unreadable, and the others are read."""
    if not found:
        return {}
    command = ["wipefs", "--json", "--noheadings", "--no-act"]
    code, out, err = run([*command, *(block.path for block in found)])
    if code == 0:
        try:
            return signatures.parse_wipefs(out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"what wipefs says of the disks is not understood: {error}") from None
    why = err.strip() or f"wipefs ended with {code}"
    if len(found) == 1:
        found[0].unreadable = found[0].unreadable or why
        return {}
    every: dict[str, list[Signature]] = {}
    for block in found:
        every.update(read_signatures(run, [block]))
    if all(block.unreadable for block in found):
        raise Unreadable(f"wipefs cannot read what is on the disks: {why}")
    return every


def entries_of(path: str) -> list[str] | None:
    """Return the first names in a directory; None where nothing is at the path."""
    if not os.path.lexists(path):
        return None
    if not Path(path).is_dir():
        return [NO_DIRECTORY]
    return sorted(entry.name for entry in Path(path).iterdir())[: ENTRIES_SHOWN + 1]


def _as_mounted(system: FileSystem, places_mounted: list[str]) -> FileSystem:
    """Return the file system with the size that the kernel knows, where it is mounted."""
    size = xfs.size_at(places_mounted[0]) if system.type == "xfs" and places_mounted else None
    return replace(system, size_bytes=size) if size else system


def gather(run: Run, mount_points: list[str], journal_path: str) -> State:
    """Read the running host. Raises Unreadable when a device's content or the volume groups cannot be told."""
    tree = Tree("/")
    # First, since looking into an automount point mounts what belongs there.
    entries = {path: names for path in mount_points for names in [entries_of(path)] if names is not None}
    table = mounts.read(tree)
    found = blocks.read(tree, table)
    state = State(
        blocks=found,
        fstab=fstab.parse(tree.text(fstab.PATH, MIB)),
        mounts=table,
        with_quotas={
            mount.path
            for mount in places.parse(tree.text(mounts.MOUNTINFO, mounts.TABLE_LIMIT_BYTES) or "")
            if PROJECT_QUOTAS & mount.options
        },
        programs=find_programs(),
        journal=journal.read(journal_path),
        entries=entries,
    )
    # Devices that are there in sysfs and not in /dev are a container's host's: nothing of them can be read or written.
    there = {name for name, block in found.items() if Path(block.path).exists()}
    for name in set(found) - there:
        found[name].known_to_udev = False
    present = [name for name in found if name in there and found[name].size_bytes]
    heads = {}
    for name in present:
        heads[name], found[name].unreadable, found[name].claimed = look(found[name].path, found[name].size_bytes)
    state.signatures = read_signatures(run, [found[name] for name in present])
    for name in present:
        for signature in state.signatures.get(name, []):
            if signature.type in signatures.FILE_SYSTEMS:
                system = signatures.parse_superblock(heads[name], signature)
                if system is not None:
                    state.file_systems[name] = _as_mounted(system, found[name].mounts)
    if "lvm" in state.programs:
        code, out, err = run(lvm.ARGUMENTS)
        if code != 0:
            raise Unreadable(f"lvm cannot read the volume groups: {err.strip() or f'it ended with {code}'}")
        try:
            state.groups = lvm.parse(out)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"what lvm says of the volume groups is not understood: {error}") from None
    return state
