"""Synthetic hosts that read like a drawing of one, and pools as the module's argument spec would hand them on."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.storage import fstab, lvm, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Array, Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_array_changes import size_of
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import FileSystem, Signature
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import PROGRAMS, State

MIB, GIB = sizes.MIB, sizes.GIB
EXTENT = 4 * MIB


def volume(name: str, size: str, mount: str, **more: Any) -> dict[str, Any]:
    """A volume of a pool, with the defaults of the argument spec."""
    return {
        "name": name, "size": size, "layout": "linear", "overcommit": False, "filesystem": "xfs",
        "mkfs_options": [], "mount": mount, "mount_options": [], **more,
    }  # fmt: skip


def pool(name: str, *devices: Any, level: int | None = None, spares: int = 0, **more: Any) -> dict[str, Any]:
    """A pool, with the defaults of the argument spec. A device that is a plain word is the serial of a disk."""
    entries = [{"serial": d} if isinstance(d, str) and not d.startswith("/") else d for d in devices]
    raid = None if level is None else {"level": level, "spares": spares, "chunk_size": more.pop("chunk_size", None)}
    return {
        "name": name, "devices": entries, "raid": raid, "thin_pool_size": None, "volumes": None, "filesystem": "xfs",
        "mkfs_options": [], "mount": None, "mount_options": [], **more,
    }  # fmt: skip


def select(**rule: Any) -> dict[str, Any]:
    return {"select": rule}


def allocate(group: lvm.Group, extents: int, stripes: int = 1) -> bool:
    """Take extents of the group's members, over so many of them at a time; False where there are too few."""
    free = {id(member): member.free_bytes // EXTENT for member in group.members}
    left = extents
    while left > 0:
        most = sorted(group.members, key=lambda member: -free[id(member)])[:stripes]
        count = min([left // stripes, *(free[id(member)] for member in most)])
        if count <= 0 or len(most) < stripes:
            return False
        for member in most:
            free[id(member)] -= count
        left -= count * stripes
    for member in group.members:
        member.free_bytes = free[id(member)] * EXTENT
    group.free_extents -= extents
    return True


class Host:
    """A host under construction; `state` is what the planner gets."""

    def __init__(self, root: bool = True) -> None:
        self.state = State(programs=set(PROGRAMS))
        self._number = 0
        if root:
            self.disk("sda", "SYS", "240 GB", media="ssd").part("sda1").part("sda2")
            self.file_system("sda1", "ext4", "/").swap("sda2").signature("sda", "gpt")

    def _enter(self, name: str, kind: str, size: int, **more: Any) -> Block:
        self._number += 1
        block = Block(name, kind, f"8:{self._number}", size, known_to_udev=True, **more)
        self.state.blocks[name] = block
        return block

    def disk(self, name: str, serial: str | None, size: str = "100 GiB", media: str = "nvme", **more: Any) -> Host:
        """A disk; without a serial it has a by-path link only, as a virtual one."""
        links = [f"/dev/disk/by-path/pci-{name}"] + ([f"/dev/disk/by-id/virtio-{serial}"] if serial else [])
        self._enter(name, "disk", sizes.to_bytes(size), media=media, serial=serial, links=sorted(links), **more)
        return self

    def disks(self, names: str, size: str = "100 GiB", media: str = "nvme") -> Host:
        """Disks with the names as serials in capitals: `sdb sdc` have SDB and SDC."""
        for name in names.split():
            self.disk(name, name.upper(), size, media)
        return self

    def part(self, name: str, size: str = "10 GiB") -> Host:
        disk = self.state.blocks[
            name.rstrip("0123456789").removesuffix("p") if "nvme" in name else name.rstrip("0123456789")
        ]
        links = [f"/dev/disk/by-partuuid/{name}-0001"]
        self._enter(
            name, "part", sizes.to_bytes(size), media=disk.media, serial=disk.serial, disk=disk.name, links=links
        )
        disk.parts.append(name)
        return self

    def signature(self, name: str, kind: str, label: str = "", uuid: str = "") -> Host:
        self.state.signatures.setdefault(name, []).append(Signature(kind, label, uuid))
        return self

    def file_system(self, name: str, kind: str = "xfs", at: str = "", size: int = 0, half_made: bool = False) -> Host:
        """A file system of the device's size, mounted where `at` says."""
        identity = f"{name}-0000-uuid"
        self.signature(name, kind, uuid=identity)
        size = size or self.state.blocks[name].size_bytes
        if kind in ("xfs", "ext4"):
            self.state.file_systems[name] = FileSystem(kind, identity, size, half_made)
        return self.mount(name, at, kind) if at else self

    def mount(self, name: str, at: str, kind: str = "xfs") -> Host:
        block = self.state.blocks[name]
        block.mounts = sorted([*block.mounts, at])
        path = f"/dev/mapper/{block.mapped_name}" if block.mapped_name else block.path
        self.state.mounts.append(Mount(block.number, at, kind, path))
        self.state.entries.setdefault(at, ["something"])
        return self

    def swap(self, name: str) -> Host:
        self.state.blocks[name].swap = True
        return self.signature(name, "swap")

    def fstab(self, source: str, at: str, options: str = "defaults", kind: str = "xfs") -> Host:
        self.state.fstab[at] = fstab.Entry(source, at, kind, tuple(options.split(",")))
        return self

    def entries(self, at: str, *names: str) -> Host:
        self.state.entries[at] = list(names)
        return self

    def array(
        self, name: str, label: str, level: int, *members: str, slots: int = 0, state: str = "clean", **more: Any
    ) -> Host:
        """An array. A member is written as its name, or `name:spare`, `name:faulty`."""
        kinds = {entry.partition(":")[0]: entry.partition(":")[2] or "in_sync" for entry in members}
        serving = [m for m, kind in kinds.items() if kind == "in_sync"]
        slots = slots or len(serving)
        small = [self.state.blocks[m].size_bytes for m in kinds if m in self.state.blocks]
        size = size_of(level, [min(small)] * slots)
        block = self._enter(
            name, "md", size, slaves=list(kinds),
            links=[f"/dev/disk/by-id/md-name-{label}", f"/dev/disk/by-id/md-uuid-{name}", f"/dev/md/{label}"],
        )  # fmt: skip
        values: dict[str, Any] = {
            "level": f"raid{level}", "uuid": name, "name": label, "state": state, "slots": slots,
            "degraded": 0 if level == 0 else slots - len(serving), "action": "idle", "done": "none",
            "component_bytes": min(small) - 129 * MIB, "chunk_bytes": 0, "members": kinds,
        }  # fmt: skip
        block.array = Array(**{**values, **more})
        for member in kinds:
            if member in self.state.blocks:
                self.state.blocks[member].holders.append(name)
                self.signature(member, "linux_raid_member", label)
        return self

    def group(self, name: str, *members: str, missing: int = 0, **volumes: tuple[str, int]) -> Host:
        """A group; a volume is given as (layout, extents)."""
        group = lvm.Group(name, EXTENT)
        for member in members:
            block = self.state.blocks[member]
            extents = (block.size_bytes - MIB) // EXTENT
            group.extents += extents
            size = extents * EXTENT
            group.members.append(lvm.Member(block.path, size, block.size_bytes, free_bytes=size))
            self.signature(member, "LVM2_member")
        group.members += [lvm.Member("[unknown]", 100 * EXTENT, 0, missing=True)] * missing
        group.free_extents = group.extents
        self.state.groups[name] = group
        for key, (layout, extents) in volumes.items():
            self.volume(name, key, layout, extents)
        return self

    def volume(self, group: str, name: str, layout: str, extents: int, active: bool = True) -> Host:
        """A volume: `linear`, `striped:2`, `thin,pool`, `thin,sparse`."""
        there = self.state.groups[group]
        kind, _colon, stripes = layout.partition(":")
        there.volumes[name] = lvm.Volume(name, extents * EXTENT, kind, active=active, stripes=int(stripes or 1))
        if kind != "thin,sparse":
            allocate(there, extents, int(stripes or 1))
        if kind != "thin,pool" and active:
            number = sum(1 for block in self.state.blocks.values() if block.kind == "dm")
            below = [block.name for block in map(self.state.at, (m.path for m in there.members)) if block]
            self._enter(f"dm-{number}", "dm", extents * EXTENT, mapped_name=f"{group}-{name}", slaves=below)
            for member in below:
                self.state.blocks[member].holders.append(f"dm-{number}")
        return self

    def named(self, mapped: str) -> str:
        """The kernel name of a mapped device."""
        return next(block.name for block in self.state.blocks.values() if block.mapped_name == mapped)

    def journal(self, what: str, *names: str, path: str = "", **more: Any) -> Host:
        """What an interrupted run noted before it made `what` of these disks."""
        devices = [{"device": self.state.blocks[n].lasting, "serial": self.state.blocks[n].serial or ""} for n in names]
        if path:
            devices.append({"device": path, "serial": ""})
        self.state.journal[what] = {"devices": devices, **more}
        return self

    def without(self, name: str) -> Host:
        """The disk is pulled."""
        del self.state.blocks[name]
        self.state.signatures.pop(name, None)
        return self
