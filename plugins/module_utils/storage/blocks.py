# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices as the kernel and udev show them: disks, partitions, arrays and mapped devices, and what lies on what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import disks, pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

# Made out of memory, files or the network, or one path of a disk that has several: never anybody's disk.
_LEFT_OUT = re.compile(r"(loop|ram|zram|sr|fd|nbd|drbd|rbd|zd)[0-9]+|nvme[0-9]+c[0-9]+n[0-9]+")


@dataclass
class Array:
    """A running or half-assembled md array."""

    level: str
    uuid: str
    name: str
    state: str
    slots: int
    degraded: int
    action: str
    done: str
    component_bytes: int
    chunk_bytes: int
    # kernel name of the member -> its state ("in_sync", "spare", "faulty", …)
    members: dict[str, str]


@dataclass
class Block:
    """One block device. `links` are its lasting names below /dev/disk; `signatures` and `uuid` are read elsewhere."""

    name: str
    kind: str
    number: str
    size_bytes: int
    media: str | None = None
    model: str | None = None
    serial: str | None = None
    numa_node: int | None = None
    read_only: bool = False
    removable: bool = False
    links: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    disk: str = ""
    holders: list[str] = field(default_factory=list)
    slaves: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    swap: bool = False
    # Whether udev has seen it: without that, nobody can say that nothing is on it.
    known_to_udev: bool = False
    # Why it could not be read, as the kernel says it; empty where it could.
    unreadable: str = ""
    # Whether somebody has it for himself without a mount, holder or swap that shows it: ZFS, a second disk of btrfs, an external
    # journal, an iSCSI target, or a mount in a container.
    claimed: bool = False
    mapped_name: str = ""
    mapped_uuid: str = ""
    array: Array | None = None

    @property
    def path(self) -> str:
        """The kernel's own name of it below /dev, valid until the next boot."""
        return "/dev/" + self.name.replace("!", "/")

    @property
    def lasting(self) -> str:
        """The name that a person can write down."""
        return min(self.links, key=_rank) if self.links else self.path

    @property
    def identity(self) -> tuple[str, str]:
        """Its lasting name and its serial number, by which it is known again after a boot."""
        return self.lasting, self.serial or ""

    @property
    def said(self) -> str:
        """How messages name it: `nvme0n1 (serial S4EV…)`."""
        return f"{self.name} (serial {self.serial})" if self.serial else self.name


def _rank(link: str) -> tuple[int, str]:
    order = ("/by-id/wwn-", "/by-id/nvme-eui.", "/by-id/nvme-", "/by-id/", "/by-partuuid/", "/by-path/", "/md/")
    # Names that come and go with what is written on the device say nothing of the device itself.
    if "/by-id/lvm-pv-uuid-" in link:
        return len(order), link
    return next((i for i, start in enumerate(order) if start in link), len(order)), link


def read(tree: Tree, table: list[Mount]) -> dict[str, Block]:
    """Return all block devices by their kernel names."""
    swaps = {line.split()[0] for line in (tree.text("/proc/swaps") or "").splitlines() if line.startswith("/")}
    found: dict[str, Block] = {}
    for name in tree.names(disks.BLOCK):
        if _LEFT_OUT.fullmatch(name):
            continue
        place = f"{disks.BLOCK}/{name}"
        block = _one(tree, place, name, table, swaps)
        if block is None:
            continue
        found[name] = block
        for part in tree.names(place):
            if part.startswith(name) and tree.exists(f"{place}/{part}/partition"):
                piece = _one(tree, f"{place}/{part}", part, table, swaps)
                if piece is not None:
                    piece.kind, piece.disk = "part", name
                    piece.media, piece.model, piece.serial = block.media, block.model, block.serial
                    block.parts.append(part)
                    found[part] = piece
    return found


def _one(tree: Tree, place: str, name: str, table: list[Mount], swaps: set[str]) -> Block | None:
    # An array that does not run has no size, and still has its members.
    array = tree.exists(place + "/md")
    sectors = tree.integer(place + "/size") or 0
    if sectors < 0 or not (sectors or array):
        return None
    number = tree.text(place + "/dev") or ""
    entry = tree.text(f"{disks.UDEV}/b{number}") if re.fullmatch(r"[0-9]+:[0-9]+", number) else None
    udev = disks.parse_udev(entry)
    properties = dict(item.partition("=")[::2] for item in udev["E"])
    model = tree.text(place + "/device/model") or properties.get("ID_MODEL") or None
    driver = tree.link_name(place + "/device/driver")
    mapped = tree.text(place + "/dm/name") or ""
    block = Block(
        name=name,
        kind="dm" if mapped or name.startswith("dm-") else "md" if array else "disk",
        number=number,
        size_bytes=sectors * disks.SECTOR_BYTES,
        media=disks.kind_of(name, model, tree.integer(place + "/queue/rotational"), driver),
        model=" ".join(model.split()) if model else None,
        serial=tree.text(place + "/device/serial") or tree.text(place + "/serial") or properties.get("ID_SERIAL_SHORT"),
        numa_node=pci.numa_node(tree, place + "/device"),
        read_only=tree.text(place + "/ro") == "1",
        removable=tree.text(place + "/removable") == "1",
        links=sorted("/dev/" + link for link in udev["S"] if link.startswith(("disk/by-", "md/"))),
        holders=tree.names(place + "/holders"),
        slaves=tree.names(place + "/slaves"),
        known_to_udev=entry is not None,
        mapped_name=mapped,
        mapped_uuid=tree.text(place + "/dm/uuid") or "",
    )
    devices = {block.path, f"/dev/mapper/{mapped}"} if mapped else {block.path}
    block.mounts = sorted({mount.mount for mount in table if mount.number == number or mount.device in devices})
    block.swap = bool(swaps & devices)
    if block.kind == "md":
        block.array = _array(tree, place, properties)
    return block


def _array(tree: Tree, place: str, properties: dict[str, str]) -> Array:
    members = {}
    for entry in tree.names(place + "/md"):
        if entry.startswith("dev-"):
            name = tree.link_name(f"{place}/md/{entry}/block") or entry[len("dev-") :]
            members[name] = tree.text(f"{place}/md/{entry}/state") or ""
    # While an array is reshaped, the old number follows in brackets.
    slots = re.match(r"[0-9]{1,9}", tree.text(place + "/md/raid_disks") or "")
    return Array(
        level=tree.text(place + "/md/level") or "",
        uuid=properties.get("MD_UUID", ""),
        name=properties.get("MD_NAME", "").rpartition(":")[2] or properties.get("MD_DEVNAME", ""),
        state=tree.text(place + "/md/array_state") or "",
        slots=int(slots.group()) if slots else 0,
        degraded=tree.integer(place + "/md/degraded") or 0,
        action=tree.text(place + "/md/sync_action") or "idle",
        done=tree.text(place + "/md/sync_completed") or "",
        component_bytes=(tree.integer(place + "/md/component_size") or 0) * 1024,
        chunk_bytes=tree.integer(place + "/md/chunk_size") or 0,
        members=members,
    )


def disks_below(name: str, blocks: dict[str, Block]) -> set[str]:
    """Return the whole disks that a device lies on, itself included."""
    found: set[str] = set()
    todo, seen = [name], set()
    while todo:
        block = blocks.get(todo.pop())
        if block is None or block.name in seen:
            continue
        seen.add(block.name)
        if block.kind == "disk":
            found.add(block.name)
        todo.extend(block.slaves)
        if block.disk:
            todo.append(block.disk)
    return found
