"""What the steps of a plan do to a host, in the small: enough of md, LVM, mkfs and mount to run a plan to its end or to a cut.

Everything is a generator that yields after each thing that stays when the power goes, so that a test can stop at any of them. What
the real programs refuse (a device in use, too few extents, a shrink) raises Refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.storage import fstab, lvm
from ansible_collections.mlops.onprem.plugins.module_utils.storage.blocks import Block
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan_array_changes import size_of
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import FileSystem, Signature

from .hosts import EXTENT, MIB, Host, allocate


class Refused(Exception):
    """What a program would have ended with."""


class Kernel:
    """Does steps to the host. `touched` are the kernel names of all devices that something was written to."""

    def __init__(self, host: Host) -> None:
        self.host, self.state = host, host.state
        self.touched: set[str] = set()
        # What the superblocks of array members say: member -> (array's uuid, name, level, slots, place).
        self.supers: dict[str, tuple[str, str, int, int, int | None]] = {}
        # What of each member an array takes, by its UUID: superblocks hold it from the making on, also for those that are missing.
        self.components: dict[str, int] = {}
        for block in list(self.state.blocks.values()):
            if block.array and block.array.state != "inactive":
                for place, member in enumerate(block.array.members):
                    slot = place if block.array.members[member] == "in_sync" else None
                    level = int(block.array.level[4:])
                    self.supers[member] = (block.array.uuid, block.array.name, level, block.array.slots, slot)

    # Names

    def find(self, path: str) -> Block:
        for block in self.state.blocks.values():
            mapped = block.mapped_name.replace("-", "/")
            if path in (block.path, f"/dev/{mapped}", f"/dev/mapper/{block.mapped_name}", *block.links):
                return block
        raise Refused(f"{path}: no such device")

    def write_to(self, path: str) -> Block:
        """A device that is about to be written to: nothing may use it."""
        block = self.find(path)
        parts = [self.state.blocks[part] for part in block.parts]
        if any(b.mounts or b.swap or b.holders or b.claimed for b in [block, *parts]):
            raise Refused(f"{path}: device or resource busy")
        if block.read_only or block.unreadable:
            raise Refused(f"{path}: cannot be written to")
        self.touched.add(block.name)
        return block

    def _sign(self, name: str, signature: Signature) -> None:
        self.state.signatures.setdefault(name, []).append(signature)

    def _clear(self, name: str) -> None:
        self.state.signatures.pop(name, None)
        self.state.file_systems.pop(name, None)
        self.supers.pop(name, None)
        block = self.state.blocks[name]
        block.links = [link for link in block.links if "lvm-pv-uuid" not in link]
        for group in self.state.groups.values():
            group.members = [member for member in group.members if member.path != block.path]

    # Steps

    def run(self, steps: list[dict[str, Any]]) -> Iterator[str]:
        for step in steps:
            for point in getattr(self, f"do_{step['kind']}")(step):
                yield f"{step['title']}: {point}"

    def do_commands(self, step: dict[str, Any]) -> Iterator[str]:
        for command in step["commands"]:
            yield from self._command(command)

    def _command(self, command: list[str]) -> Iterator[str]:
        words = [word for word in command[1:] if not word.startswith("--")]
        if command[0] == "udevadm":
            return
        if command[0] == "wipefs":
            for path in words:
                block = self.write_to(path)
                self._clear(block.name)
                for part in block.parts:
                    self.state.signatures.pop(part, None)
                    self.state.blocks.pop(part)
                block.parts = []
                yield f"wiped {block.name}"
        elif command[0] == "vgremove":
            group = self.state.groups.pop(words[0])
            for volume in group.volumes:
                self._unmap(f"{group.name}-{volume}")
            self.state.groups.setdefault("", lvm.Group("")).members += group.members
            yield "group gone"
        elif command[0] == "pvremove":
            for path in words:
                self._clear(self.write_to(path).name)
                yield f"no volume on {path}"
        elif command[0] == "mdadm":
            yield from self._mdadm(command, words)
        else:
            raise AssertionError(command)

    def _unmap(self, mapped: str) -> None:
        block = next((b for b in self.state.blocks.values() if b.mapped_name == mapped), None)
        if block is None:
            return
        if block.mounts:
            raise Refused(f"{mapped} is mounted")
        for below in block.slaves:
            self.state.blocks[below].holders.remove(block.name)
        self._clear(block.name)
        del self.state.blocks[block.name]

    # Arrays

    def _mdadm(self, command: list[str], words: list[str]) -> Iterator[str]:
        flags = dict(word.partition("=")[::2] for word in command if word.startswith("--"))
        if "--create" in flags:
            members = [self.write_to(path) for path in words[1:]]
            active, level = int(flags["--raid-devices"]), int(flags["--level"])
            if len(members) != active + int(flags.get("--spare-devices") or 0):
                raise Refused("wrong number of devices")
            if any(self.state.signatures.get(member.name) for member in members):
                raise Refused("a device has something on it")
            name, uuid = flags["--name"], f"uuid-{flags['--name']}-{len(self.touched)}"
            # mdadm asks spares, too (Create.c).
            self.components[uuid] = min(member.size_bytes for member in members) - 129 * MIB
            for place, member in enumerate(members):
                self.supers[member.name] = (uuid, name, level, active, place if place < active else None)
                self._sign(member.name, Signature("linux_raid_member", name, uuid))
                yield f"superblock on {member.name}"
            yield from self._assemble(uuid, [member.name for member in members])
        elif "--assemble" in flags:
            names = [self.write_to(path).name for path in words[1:]]
            found = {self.supers[name][0] for name in names if name in self.supers}
            if len(found) != 1:
                raise Refused("these are no members of one array")
            yield from self._assemble(found.pop(), names)
        elif "--zero-superblock" in flags:
            for path in words:
                self._clear(self.write_to(path).name)
                yield f"no superblock on {path}"
        elif "--stop" in flags:
            block = self.find(words[0])
            if block.mounts or block.holders:
                raise Refused(f"{block.name} is in use")
            for member in block.slaves:
                if member in self.state.blocks:
                    self.state.blocks[member].holders.remove(block.name)
            del self.state.blocks[block.name]
            yield f"stopped {block.name}"
        else:
            yield from self._manage(self.find(words[0]), command, flags, words)

    def _manage(self, block: Block, command: list[str], flags: dict[str, str], words: list[str]) -> Iterator[str]:
        array = block.array
        assert array is not None
        if "--remove" in flags:
            for member, status in list(array.members.items()):
                gone = member not in self.state.blocks
                if (words[1] == "detached" and gone) or (words[1] == "failed" and "faulty" in status):
                    del array.members[member]
                    block.slaves.remove(member)
                    if not gone:
                        self.state.blocks[member].holders.remove(block.name)
                    yield f"{member} removed"
        elif "--add" in flags:
            for path in words[1:]:
                member = self.write_to(path)
                if self.state.signatures.get(member.name):
                    raise Refused(f"{path} has something on it")
                if member.size_bytes < array.component_bytes:
                    raise Refused(f"{path} is too small")
                level = int(array.level[4:])
                self.supers[member.name] = (array.uuid, array.name, level, array.slots, None)
                self._sign(member.name, Signature("linux_raid_member", array.name, array.uuid))
                yield f"superblock on {member.name}"
                self._join(block, member)
                yield f"{member.name} added"
        elif flags.get("--raid-devices"):
            wanted = int(flags["--raid-devices"])
            spares = [member for member, status in array.members.items() if status == "spare"]
            if array.degraded or wanted < array.slots or wanted - array.slots > len(spares):
                raise Refused("cannot grow so")
            for member in spares[: wanted - array.slots]:
                array.members[member] = "in_sync"
            array.slots = wanted
            self._resize(block)
            yield "grown"
        elif flags.get("--size") == "max":
            array.component_bytes = min(self.state.blocks[m].size_bytes for m in array.members) - 129 * MIB
            self.components[array.uuid] = array.component_bytes
            self._resize(block)
            yield "components grown"
        else:
            raise AssertionError(command)

    def _join(self, block: Block, member: Block) -> None:
        assert block.array is not None
        block.array.members[member.name] = "in_sync" if block.array.degraded else "spare"
        block.array.degraded = max(0, block.array.degraded - 1)
        block.slaves.append(member.name)
        member.holders.append(block.name)

    def _resize(self, block: Block) -> None:
        array = block.array
        assert array is not None
        new = size_of(int(array.level[4:]), [array.component_bytes + 129 * MIB] * array.slots)
        if new < block.size_bytes:
            raise AssertionError(f"{block.name} shrinks")
        block.size_bytes = new
        for place, (member, status) in enumerate(array.members.items()):
            slot = place if status == "in_sync" else None
            self.supers[member] = (array.uuid, array.name, int(array.level[4:]), array.slots, slot)
        self._refresh_groups()

    def _assemble(self, uuid: str, names: list[str]) -> Iterator[str]:
        """As mdadm does: it starts when all places are filled."""
        _uuid, label, level, slots, _slot = self.supers[names[0]]
        places = {self.supers[name][4] for name in names} - {None}
        number = max(n for n in range(128) if f"md{n}" not in self.state.blocks)
        given = [f"{name}:{'in_sync' if self.supers[name][4] is not None else 'spare'}" for name in names]
        before = {name: list(self.state.signatures[name]) for name in names}
        whole = len(places) == slots
        self.host.array(f"md{number}", label, level, *given, slots=slots, state="inactive", uuid=uuid)
        self.state.signatures.update(before)
        block = self.state.blocks[f"md{number}"]
        block.links = [f"/dev/disk/by-id/md-name-{label}", f"/dev/disk/by-id/md-uuid-{uuid}", f"/dev/md/{label}"]
        assert block.array is not None
        block.array.name = ""
        block.array.component_bytes = self.components.get(uuid, block.array.component_bytes)
        block.size_bytes = size_of(level, [block.array.component_bytes + 129 * MIB] * slots)
        yield f"{block.name} half there"
        if whole:
            block.array.state, block.array.name = "clean", label
            yield f"{block.name} runs"

    # Groups and volumes

    def _pv(self, path: str) -> Iterator[str]:
        block = self.write_to(path)
        if any(entry.type != "LVM2_member" for entry in self.state.signatures.get(block.name, [])):
            raise Refused(f"{path} has something on it")
        if not self.state.signatures.get(block.name):
            self._sign(block.name, Signature("LVM2_member"))
        # udev gives the device one more name.
        block.links = sorted({*block.links, f"/dev/disk/by-id/lvm-pv-uuid-{block.name}"})
        orphans = self.state.groups.setdefault("", lvm.Group(""))
        if not any(member.path == block.path for member in orphans.members):
            orphans.members.append(lvm.Member(block.path, block.size_bytes, block.size_bytes))
        yield f"volume on {block.name}"

    def _refresh_groups(self) -> None:
        for group in self.state.groups.values():
            for member in group.members:
                if not member.missing:
                    member.device_bytes = self.find(member.path).size_bytes

    def do_group(self, step: dict[str, Any]) -> Iterator[str]:
        group = self.state.groups.get(step["group"])
        there = {self.find(member.path).name for member in group.members} if group else set()
        for member in group.members if group else []:
            extents = (self.find(member.path).size_bytes - MIB) // EXTENT
            more = extents - member.size_bytes // EXTENT
            if more > 0:
                assert group is not None
                member.size_bytes = extents * EXTENT
                member.free_bytes += more * EXTENT
                group.extents, group.free_extents = group.extents + more, group.free_extents + more
                yield f"{member.path} grown"
        new = [path for path in step["devices"] if self.find(path).name not in there]
        for path in new:
            yield from self._pv(path)
        group = self.state.groups.setdefault(step["group"], lvm.Group(step["group"], EXTENT))
        for path in new:
            block = self.find(path)
            orphans = self.state.groups.get("", lvm.Group(""))
            orphans.members = [member for member in orphans.members if member.path != block.path]
            extents = (block.size_bytes - MIB) // EXTENT
            size = extents * EXTENT
            group.members.append(lvm.Member(block.path, size, block.size_bytes, free_bytes=size))
            group.extents, group.free_extents = group.extents + extents, group.free_extents + extents
        if new:
            yield "group there"

    def do_volume(self, step: dict[str, Any]) -> Iterator[str]:
        group = self.state.groups[step["group"]]
        wanted = -(-int(step["size"][:-1]) * MIB // EXTENT)
        wanted += -wanted % step["stripes"]
        volume, layout = group.volumes.get(step["volume"]), step["layout"]
        more = wanted - (volume.size_bytes // EXTENT if volume else 0)
        if more < 0:
            raise AssertionError(f"{step['volume']} shrinks")
        kind = {"thin": "thin,sparse", "thin pool": "thin,pool", "striped": f"striped:{step['stripes']}"}.get(
            layout, layout
        )
        metadata = 2 if layout == "thin pool" and not volume else 0
        before = group.free_extents
        if volume is None:
            allocate(group, metadata)
            self.host.volume(group.name, step["volume"], kind, wanted)
        elif layout != "thin":
            allocate(group, more, volume.stripes)
        if layout != "thin" and before - group.free_extents != more + metadata:
            raise Refused(f"{group.name} has too few extents for {step['volume']}: {more} of {before}")
        if volume is None:
            yield f"{step['volume']} made"
            return
        volume.size_bytes = wanted * EXTENT
        for block in self.state.blocks.values():
            if block.mapped_name == f"{group.name}-{step['volume']}":
                block.size_bytes = wanted * EXTENT
        yield f"{step['volume']} grown"

    # File systems and mounts

    def do_filesystem(self, step: dict[str, Any]) -> Iterator[str]:
        block = self.find(step["device"])
        found = self.state.signatures.get(block.name, [])
        if any(entry.type == step["filesystem"] for entry in found):
            # community.general.filesystem: where the type is there and a UUID is given, it changes the UUID and makes nothing.
            raise Refused(f"{block.name}: its UUID would be changed, and nothing be made")
        if found:
            raise Refused(f"{block.name} is already used as {found[0].type}")
        block = self.write_to(step["device"])
        whole = FileSystem(step["filesystem"], step["uuid"], block.size_bytes)
        if step["filesystem"] == "xfs":
            self._sign(block.name, Signature("xfs", uuid=step["uuid"]))
            self.state.file_systems[block.name] = replace(whole, half_made=True)
            yield "xfs in progress"
        else:
            yield "nothing of ext4 to be seen"
            self._sign(block.name, Signature("ext4", uuid=step["uuid"]))
        self.state.file_systems[block.name] = whole
        yield "file system made"

    def do_mount(self, step: dict[str, Any]) -> Iterator[str]:
        if step["mount"] not in self.state.entries:
            self.state.entries[step["mount"]] = []
            yield "mount point made"
        self.state.fstab[step["mount"]] = fstab.Entry(
            step["source"], step["mount"], step["filesystem"], tuple(step["options"].split(","))
        )
        yield "line in fstab"
        if not step["mounted"]:
            self._mount(step["mount"])
            yield "mounted"

    def _mount(self, place: str) -> None:
        source = self.state.fstab[place].source
        for name, system in self.state.file_systems.items():
            if source == f"UUID={system.uuid}":
                if system.half_made:
                    raise Refused(f"{name} cannot be mounted")
                block = self.state.blocks[name]
                block.mounts.append(place)
                self.state.mounts.append(Mount(block.number, place, system.type, block.path))
                self.state.entries[place] = ["what is mounted"]
                return
        raise Refused(f"{source} is not there")

    def do_unmount(self, step: dict[str, Any]) -> Iterator[str]:
        self.state.mounts = [entry for entry in self.state.mounts if entry.mount != step["mount"]]
        for block in self.state.blocks.values():
            block.mounts = [place for place in block.mounts if place != step["mount"]]
        self.state.entries[step["mount"]] = []
        yield "unmounted"
        self.state.fstab.pop(step["mount"], None)
        yield "line removed"

    def do_grow(self, step: dict[str, Any]) -> Iterator[str]:
        block = self.find(step["device"])
        system = self.state.file_systems[block.name]
        if system.size_bytes > block.size_bytes:
            raise AssertionError(f"{block.name}'s file system shrinks")
        if not block.mounts:
            raise Refused(f"{block.name} is not mounted")
        self.state.file_systems[block.name] = replace(system, size_bytes=block.size_bytes)
        yield "file system grown"

    # The power goes

    def restart(self) -> None:
        """The host starts again: arrays that did not run are put together from their superblocks, and fstab's lines are mounted."""
        # What is in no fstab here is the system's own, and comes back by itself.
        for block in self.state.blocks.values():
            block.mounts = [place for place in block.mounts if place not in self.state.fstab]
        self.state.mounts = [entry for entry in self.state.mounts if entry.mount not in self.state.fstab]
        for place, names in self.state.entries.items():
            if names == ["what is mounted"]:
                self.state.entries[place] = []
        for block in [b for b in self.state.blocks.values() if b.array and b.array.state == "inactive"]:
            for member in block.slaves:
                self.state.blocks[member].holders.remove(block.name)
            del self.state.blocks[block.name]
        running = {block.array.uuid for block in self.state.blocks.values() if block.array}
        arrays: dict[str, list[str]] = {}
        for member, (uuid, *_rest) in self.supers.items():
            if uuid not in running:
                arrays.setdefault(uuid, []).append(member)
        for uuid, members in arrays.items():
            for _point in self._assemble(uuid, members):
                pass
        for place in list(self.state.fstab):
            with contextlib.suppress(Refused):
                self._mount(place)
