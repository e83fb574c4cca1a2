"""Reading a live host: what cannot be read is never taken for empty, and one broken disk does not hide the others."""

from __future__ import annotations

import errno
import json
import os
import struct

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.storage import blocks, plan_pools, state, xfs
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import (
    ENDS_BYTES,
    Unreadable,
    entries_of,
    look,
    read_signatures,
)
from hardware.trees import write

from .hosts import Host, pool, select

XFS = {"device": "sdb", "offset": "0x0", "type": "xfs", "uuid": "u", "label": None}


def test_both_ends_of_a_device_are_read(tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"head" + bytes(2 * ENDS_BYTES))
    head, why, claimed = look(str(disk), disk.stat().st_size)
    assert (head[:4], len(head), why, claimed) == (b"head", ENDS_BYTES, "", False)
    assert look(str(disk), 10 * ENDS_BYTES)[1] == "it ends too early"
    assert look(str(tmp_path / "none"), 4096)[1] == "No such file or directory"


def test_a_read_error_is_told(tmp_path):
    # The memory of this process has nothing at address 0, so that reading there is an I/O error, as on a broken disk.
    assert look("/proc/self/mem", 4096)[1] == "Input/output error"


def test_a_device_that_somebody_has_for_himself_is_claimed(tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    real = os.open

    def opened(path, flags, *more, **others):
        if flags & os.O_EXCL:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return real(path, flags, *more, **others)

    monkeypatch.setattr(state.os, "open", opened)
    assert look(str(disk), 4096) == (bytes(4096), "", True)


@pytest.mark.parametrize(
    "field, value",
    [("claimed", True), ("unreadable", "Input/output error"), ("read_only", True), ("known_to_udev", False)],
)
def test_such_a_disk_is_never_free(field, value):
    host = Host().disks("sdb")
    setattr(host.state.blocks["sdb"], field, value)
    for device in ("SDB", select(kind="nvme")):
        plan = plan_pools.make([pool("data", device, mount="/srv/v")], [], host.state, allow_destroy=True)
        assert len(plan.problems) == 1
        assert "wipefs" not in plan.problems[0]
        assert plan.steps == []


def test_the_reason_is_told():
    host = Host().disks("sdb sdc")
    host.state.blocks["sdb"].claimed = True
    host.state.blocks["sdc"].unreadable = "Input/output error"
    plan = plan_pools.make([pool("a", "SDB", mount="/srv/a"), pool("b", "SDC", mount="/srv/b")], [], host.state)
    remedy = "free it first (unmount, stop or remove what uses it), or name another disk"
    assert plan.problems == [
        f"pool a: sdb (serial SDB) is not empty: claimed by the kernel or a program, though it is not mounted here; {remedy}",
        "pool b: sdc (serial SDC) is not empty: it cannot be read (Input/output error), so what is on it cannot be told; name another disk",
    ]


def test_a_disk_that_wipefs_cannot_open_does_not_hide_the_others():
    host = Host(root=False).disks("sdb sdc")

    def run(command):
        if "/dev/sdc" in command:
            return 1, "", "wipefs: error: /dev/sdc: probing initialization failed: No medium found"
        return 0, json.dumps({"signatures": [XFS]}), ""

    found = read_signatures(run, list(host.state.blocks.values()))
    assert [entry.type for entry in found["sdb"]] == ["xfs"]
    assert host.state.blocks["sdb"].unreadable == ""
    assert "No medium found" in host.state.blocks["sdc"].unreadable


def test_where_wipefs_can_read_nothing_nothing_is_planned():
    host = Host(root=False).disks("sdb sdc")
    with pytest.raises(Unreadable, match="cannot read what is on the disks: it broke"):
        read_signatures(lambda command: (1, "", "it broke"), list(host.state.blocks.values()))


@pytest.mark.parametrize("text", ["[", "[]", '{"signatures": [{}]}', '{"signatures": 1}', "x"])
def test_where_wipefs_is_not_understood_nothing_is_planned(text):
    host = Host(root=False).disks("sdb")
    with pytest.raises(Unreadable, match="not understood"):
        read_signatures(lambda command: (0, text, ""), list(host.state.blocks.values()))


def test_what_is_at_a_mount_point(tmp_path):
    (tmp_path / "d").mkdir()
    for name in "edcba":
        (tmp_path / "d" / name).write_text("")
    assert entries_of(str(tmp_path / "d")) == ["a", "b", "c", "d"]
    assert entries_of(str(tmp_path / "d" / "a")) == [state.NO_DIRECTORY]
    (tmp_path / "dead").symlink_to("nowhere")
    assert entries_of(str(tmp_path / "dead")) == [state.NO_DIRECTORY]
    assert entries_of(str(tmp_path / "none")) is None


def test_a_mount_point_that_is_a_file_is_refused_as_such():
    host = Host().disks("sdb").entries("/srv/v", state.NO_DIRECTORY)
    plan = plan_pools.make([pool("data", "SDB", mount="/srv/v")], [], host.state)
    assert plan.problems == ["pool data: /srv/v is there and no directory; move it away first, or mount elsewhere"]


def host_of_files(tmp_path, monkeypatch, **sizes):
    """A host below tmp_path whose block devices are files; returns what wipefs and lvm are made to say, for a test to change."""
    files = {"/proc/self/mountinfo": "1 1 8:1 / / rw - ext4 /dev/sda rw", "/etc/fstab": "UUID=u /srv/v xfs defaults"}
    for number, (name, size) in enumerate(sizes.items(), 1):
        files |= {f"/sys/block/{name}/size": str(size // 512), f"/sys/block/{name}/dev": f"8:{number}"}
        files[f"/run/udev/data/b8:{number}"] = "S:disk/by-id/x"
    write(tmp_path, files)
    (tmp_path / "dev").mkdir()
    monkeypatch.setattr(blocks.Block, "path", property(lambda block: f"{tmp_path}/dev/{block.name}"))
    monkeypatch.setattr(state, "Tree", lambda root: Tree(str(tmp_path)))
    monkeypatch.setattr(state, "find_programs", lambda: {"lvm"})
    return {"wipefs": (0, json.dumps({"signatures": [XFS]}), ""), "lvm": (0, '{"report": []}', "")}


def test_a_host_is_gathered(tmp_path, monkeypatch):
    said = host_of_files(tmp_path, monkeypatch, sda=4096, sdb=8192, sdc=4096)
    (tmp_path / "dev" / "sda").write_bytes(bytes(4096))
    (tmp_path / "dev" / "sdb").write_bytes((b"XFSB" + struct.pack(">IQ", 4096, 2)).ljust(8192, b"\0"))
    asked = []
    found = state.gather(lambda command: asked.append(command) or said[command[0]], [str(tmp_path), "/none"], "/none")
    assert list(found.blocks) == ["sda", "sdb", "sdc"]
    assert found.blocks["sda"].mounts == ["/"]
    # What has no node below /dev cannot be looked at, and is never free.
    assert [name for name, block in found.blocks.items() if not block.known_to_udev] == ["sdc"]
    assert asked[0][-2:] == [f"{tmp_path}/dev/sda", f"{tmp_path}/dev/sdb"]
    assert found.file_systems["sdb"].size_bytes == 8192
    assert found.entries == {str(tmp_path): ["dev", "etc", "proc", "run"]}
    assert (found.fstab["/srv/v"].source, found.journal, found.groups) == ("UUID=u", {}, {})


@pytest.mark.parametrize(
    ("lvm", "text"),
    [
        ((5, "", "no lock"), "lvm cannot read the volume groups: no lock"),
        ((0, "x", ""), "what lvm says of the volume groups is not understood"),
    ],
)
def test_where_lvm_is_not_understood_nothing_is_planned(tmp_path, monkeypatch, lvm, text):
    said = {**host_of_files(tmp_path, monkeypatch), "lvm": lvm}
    with pytest.raises(Unreadable, match=text):
        state.gather(lambda command: said[command[0]], [], "/none")


def test_programs_are_looked_for_in_sbin_too(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        state.shutil, "which", lambda name, path: name if "/usr/sbin" in path and name == "lvm" else None
    )
    assert state.find_programs() == {"lvm"}


def test_the_size_of_a_mounted_xfs_is_the_kernels(tmp_path, monkeypatch):
    """The superblock on the disk is written late: after xfs_growfs it tells the old size for a while."""

    def answer(_handle, request, geometry):
        assert (request, len(geometry)) == (0x80705864, 112)
        struct.pack_into("=I", geometry, 0, 4096)
        struct.pack_into("=Q", geometry, 32, 524288)

    monkeypatch.setattr(xfs.fcntl, "ioctl", answer)
    assert xfs.size_at(str(tmp_path)) == 2 * 2**30


def test_what_is_no_mounted_xfs_has_no_size(tmp_path):
    assert xfs.size_at(str(tmp_path / "none")) is None
    # Nothing but xfs knows this request.
    assert xfs.size_at("/proc") is None
