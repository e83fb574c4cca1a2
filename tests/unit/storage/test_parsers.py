"""Texts and bytes of other programs, real ones where these are installed, and whatever else may stand there."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import mounts
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.storage import blocks, fstab, journal, lvm, signatures, sizes
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import Signature
from hardware.trees import write
from hypothesis import given, settings
from hypothesis import strategies as st

# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1.5 TB", 1_500_000_000_000),
        ("512KiB", 524288),
        ("512 kiB", 524288),
        ("1 KB", 1000),
        ("0.1 TB", 100_000_000_000),
        (" 7 B ", 7),
        ("2 PiB", 2 * 2**50),
        ("9007199254740993 B", 9007199254740993),
    ],
)
def test_sizes(text, size):
    assert sizes.to_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "5", "GiB", "-1 GiB", "1e3 GB", "1.GB", "1 gb", "1 GiB 2", "1,5 TB", "٣ GB", None, True, 5, "60%"]
)
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="write a number and a unit, as 500 GiB or 1.5 TB"):
        sizes.to_bytes(text)


@given(st.integers(min_value=0, max_value=2**70))
def test_what_is_shown_is_close_and_can_be_written(size):
    shown = sizes.shown(size)
    if size >= 2**63:
        return
    assert abs(sizes.to_bytes(shown) - size) <= size * 0.051 + 0.5


@given(st.integers(min_value=0, max_value=2**60), st.integers(min_value=0, max_value=2**60))
def test_more_is_never_shown_as_less(one, other):
    small, large = sorted([one, other])
    assert sizes.to_bytes(sizes.shown(small)) <= sizes.to_bytes(sizes.shown(large))


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,400}(\.[0-9]+)? ?[kKMGTP]?i?B", fullmatch=True))
def test_any_text_is_a_size_or_a_sentence(text):
    try:
        assert sizes.to_bytes(text) >= 0
    except ValueError as error:
        assert "is no size" in str(error)


def test_percentages():
    assert (sizes.percent("60%"), sizes.percent(" 33.5 % "), sizes.percent("60"), sizes.percent("rest")) == (
        60,
        33.5,
        None,
        None,
    )


# Signatures


def test_signatures_of_wipefs():
    text = """{"signatures": [
      {"device": "sda", "offset": "0x200", "type": "gpt", "uuid": "d1", "label": null},
      {"device": "sda", "offset": "0xe7ffffe00", "type": "gpt", "uuid": "d1", "label": null},
      {"device": "sda", "offset": "0x1fe", "type": "PMBR", "uuid": null, "label": null},
      {"device": "sdb", "offset": "0x1000", "type": "linux_raid_member", "uuid": "a1", "label": "host:data"}]}"""
    assert signatures.parse_wipefs(text) == {
        "sda": [Signature("gpt", "", "d1"), Signature("PMBR")],
        "sdb": [Signature("linux_raid_member", "host:data", "a1")],
    }
    assert signatures.parse_wipefs("") == {}
    assert signatures.parse_wipefs('{"signatures": []}') == {}


def tool(*names: str) -> None:
    for name in names:
        if not shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin"):
            pytest.skip(f"{name} is not installed here (packages xfsprogs, e2fsprogs, util-linux)")


def run(*command: str) -> str:
    path = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=path).stdout


def sparse(tmp_path: Path, size: int) -> Path:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(size)
    return disk


def look(disk: Path) -> tuple[signatures.FileSystem | None, list[Signature]]:
    found = signatures.parse_wipefs(run("wipefs", "--json", "--no-act", str(disk)))[disk.name]
    with disk.open("rb") as file:
        return signatures.parse_superblock(file.read(signatures.HEAD_BYTES), found[0]), found


@pytest.mark.parametrize("options", [[], ["-b", "size=1024"], ["-m", "crc=0"]])
@pytest.mark.parametrize("size", [301 * 2**20 + 4096, 5 * 2**40])
def test_the_size_of_xfs_is_what_its_own_tool_says(tmp_path, size, options):
    tool("mkfs.xfs", "xfs_db", "wipefs")
    disk = sparse(tmp_path, size)
    run("mkfs.xfs", "-q", *options, str(disk))
    told = dict(re.findall(r"(\w+) = (\d+)", run("xfs_db", "-r", "-c", "sb 0", "-c", "p dblocks blocksize", str(disk))))
    system, found = look(disk)
    assert system is not None
    assert system.size_bytes == int(told["dblocks"]) * int(told["blocksize"])
    assert (system.type, system.half_made, len(found)) == ("xfs", False, 1)
    assert re.fullmatch(r"[0-9a-f-]{36}", system.uuid)


def test_an_xfs_whose_making_did_not_end_is_half_made(tmp_path):
    tool("mkfs.xfs", "wipefs")
    disk = sparse(tmp_path, 400 * 2**20)
    run("mkfs.xfs", "-q", str(disk))
    with disk.open("r+b") as file:
        file.seek(126)
        file.write(b"\x01")
    system, _found = look(disk)
    assert system is not None
    assert system.half_made


@pytest.mark.parametrize(("size", "options"), [(50 * 2**20, []), (50 * 2**20, ["-b", "1024"]), (2**34, [])])
def test_the_size_of_ext4_is_what_its_own_tool_says(tmp_path, size, options):
    tool("mkfs.ext4", "dumpe2fs", "wipefs")
    disk = sparse(tmp_path, size)
    run("mkfs.ext4", "-q", "-T", "largefile4", "-E", "lazy_itable_init=1,nodiscard", *options, str(disk))
    told = dict(re.findall(r"^(Block count|Block size): +(\d+)", run("dumpe2fs", "-h", str(disk)), re.M))
    system, _found = look(disk)
    assert system is not None
    assert system.size_bytes == int(told["Block count"]) * int(told["Block size"])
    assert (system.type, system.half_made) == ("ext4", False)


@given(st.binary(max_size=2048), st.sampled_from(["xfs", "ext4", "btrfs", ""]), st.booleans())
def test_any_bytes_are_a_file_system_or_none(data, kind, magic):
    head = b"XFSB" + data if magic else data
    system = signatures.parse_superblock(head, Signature(kind))
    assert system is None or system.size_bytes >= 0


def test_an_ext4_of_more_than_32_bits_of_blocks():
    head = bytearray(4096)
    struct.pack_into("<I", head, 1024 + 4, 5)
    struct.pack_into("<I", head, 1024 + 24, 2)
    struct.pack_into("<I", head, 1024 + 0x150, 1)
    assert signatures.parse_superblock(bytes(head), Signature("ext4")).size_bytes == (2**32 + 5) * 4096


def test_absurd_numbers_in_a_superblock_do_no_harm():
    head = bytearray(b"\xff" * 4096)
    head[:4] = b"XFSB"
    assert signatures.parse_superblock(bytes(head), Signature("xfs")).size_bytes == (2**32 - 1) * (2**64 - 1)
    assert signatures.parse_superblock(bytes(head), Signature("ext4")).size_bytes == (2**64 - 1) * 65536
    struct.pack_into(">I", head, 4, 0)
    assert signatures.parse_superblock(bytes(head), Signature("xfs")).size_bytes == 0


# LVM

REPORT = {
    "report": [
        {
            "vg": [{"vg_name": "data", "vg_extent_size": "4194304", "vg_extent_count": "25599", "vg_free_count": "10239"}],
            "pv": [
                {"pv_name": "/dev/sdb", "vg_name": "data", "pv_size": "107369988096", "dev_size": "107374182400", "pv_free": "42945478656", "pv_missing": ""},
                {"pv_name": "[unknown]", "vg_name": "data", "pv_size": "107369988096", "dev_size": "0", "pv_free": "0", "pv_missing": "missing"},
            ],
            "lv": [
                {"lv_name": "v", "vg_name": "data", "lv_size": "64424509440", "lv_layout": "striped",
                 "pool_lv": "", "lv_active": "active", "data_percent": ""},
                {"lv_name": "off", "vg_name": "data", "lv_size": "4194304", "lv_layout": "linear", "pool_lv": "", "lv_active": "", "data_percent": ""},
                {"lv_name": "thinpool", "vg_name": "data", "lv_size": "4194304", "lv_layout": "thin,pool",
                 "pool_lv": "", "lv_active": "active", "data_percent": "12.34"},
                {"lv_name": "t", "vg_name": "data", "lv_size": "4194304", "lv_layout": "thin,sparse",
                 "pool_lv": "thinpool", "lv_active": "active", "data_percent": "99.00"},
            ],
            "pvseg": [{"pv_name": "/dev/sdb"}],
            "seg": [
                {"lv_name": "v", "stripes": "2"},
                {"lv_name": "v", "stripes": "1"},
                {"lv_name": "off", "stripes": "1"},
                {"lv_name": "thinpool", "stripes": "1"},
                {"lv_name": "t", "stripes": "0"},
            ],
        },
        {"vg": [], "lv": [], "pvseg": [], "seg": [],
         "pv": [{"pv_name": "/dev/sdc", "vg_name": "", "pv_size": "1", "dev_size": "1", "pv_free": "1", "pv_missing": ""}]},
    ]
}  # fmt: skip


def test_groups_of_lvm():
    groups = lvm.parse(json.dumps(REPORT))
    data = groups["data"]
    assert (data.extent_bytes, data.extents, data.free_extents) == (4194304, 25599, 10239)
    assert [(m.path, m.missing, m.free_bytes) for m in data.members] == [
        ("/dev/sdb", False, 42945478656),
        ("[unknown]", True, 0),
    ]
    assert {name: (v.layout, v.stripes, v.active) for name, v in data.volumes.items()} == {
        "v": ("striped", 2, True),
        "off": ("linear", 1, False),
        "thinpool": ("thin,pool", 1, True),
        "t": ("thin,sparse", 1, True),
    }
    assert (data.volumes["thinpool"].data_percent, data.volumes["t"].pool) == (12.34, "thinpool")
    assert [member.path for member in groups[""].members] == ["/dev/sdc"]


def test_a_host_without_groups():
    assert lvm.parse('{"report": []}') == {}


def test_lvm_knows_all_the_fields_that_are_asked_for(tmp_path):
    tool("lvm")
    # A field that a version does not have would end every run with "Unrecognised field".
    command = [
        *lvm.ARGUMENTS[:1],
        *lvm.ARGUMENTS[1:],
        "--config",
        f'devices {{ dir="{tmp_path}" scan=["{tmp_path}"] }}',
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "Unrecognised field" not in done.stderr
    assert lvm.parse(done.stdout) == {}


# fstab


def test_lines_of_fstab():
    text = (
        "# /etc/fstab\n\nUUID=1 / ext4 errors=remount-ro 0 1\n#UUID=2 /old xfs defaults\n/dev/sdb\t/srv/a\\040b/ xfs noatime,nofail\n"
        "broken line\nserver:/x /srv/n nfs4\nUUID=3 none swap sw 0 0\nUUID=4 /srv/n xfs ro 0 0"
    )
    found = fstab.parse(text)
    assert [(entry.source, entry.mount, entry.options) for entry in found.values()] == [
        ("UUID=1", "/", ("errors=remount-ro",)),
        ("/dev/sdb", "/srv/a b", ("noatime", "nofail")),
        ("UUID=4", "/srv/n", ("ro",)),
        ("UUID=3", "none", ("sw",)),
    ]
    assert fstab.parse("server:/x /srv/n nfs4")["/srv/n"].options == ("defaults",)
    assert fstab.parse(None) == {}


@given(st.text(max_size=200))
def test_any_text_is_an_fstab(text):
    assert all(entry.mount for entry in fstab.parse(text).values())


# The journal


def test_the_journal_is_kept_and_removed(tmp_path):
    path = tmp_path / "a" / "b" / "journal.json"
    assert journal.read(str(path)) == {}
    entries = {"array:data": {"devices": [{"device": "/dev/sdb", "serial": "S"}]}}
    journal.write(str(path), entries)
    assert journal.read(str(path)) == entries
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.json"]
    journal.write(str(path), {})
    journal.write(str(path), {})
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "1",
        "\udcff",
        '{"array:data": null}',
        '{"array:data": {"devices": null}}',
        '{"array:data": {"devices": [1]}}',
    ],
)
def test_a_journal_that_is_broken_frees_nothing(tmp_path, text):
    from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_pools

    from .hosts import Host, pool

    path = tmp_path / "journal.json"
    path.write_text(text, errors="surrogateescape")
    host = Host().disks("sdb sdc").signature("sdb", "linux_raid_member", "data")
    host.state.journal = journal.read(str(path))
    plan = plan_pools.make([pool("data", "SDB", "SDC", level=1, mount="/srv/v")], [], host.state)
    assert not any("--zero-superblock" in command for step in plan.steps for command in step.get("commands", []))


# Block devices

BLOCKS = {
    "/sys/block/sda/size": "1000", "/sys/block/sda/dev": "8:0", "/sys/block/sda/holders/md127/x": "",
    "/run/udev/data/b8:0": "S:disk/by-id/wwn-0x5\nS:disk/by-id/ata-X\nS:disk/by-path/pci\nE:ID_SERIAL_SHORT=XA",
    "/sys/block/sda/queue/rotational": "1", "/sys/block/sda/device/model": "A   DISK",
    "/sys/block/sdb/size": "1000", "/sys/block/sdb/dev": "8:16", "/sys/block/sdb/ro": "1", "/sys/block/sdb/removable": "1",
    "/sys/block/sdb/sdb1/size": "500", "/sys/block/sdb/sdb1/dev": "8:17", "/sys/block/sdb/sdb1/partition": "1",
    "/run/udev/data/b8:16": "E:ID_SERIAL_SHORT=XB", "/run/udev/data/b8:17": "S:disk/by-partuuid/p1",
    "/sys/block/sdz/size": "0", "/sys/block/loop0/size": "5", "/sys/block/nvme0c1n1/size": "5", "/sys/block/sr0/size": "5",
    "/sys/block/cciss!c0d0/size": "1000", "/sys/block/cciss!c0d0/dev": "104:0",
    "/sys/block/md127/size": "1000", "/sys/block/md127/dev": "9:127", "/sys/block/md127/slaves/sda/x": "",
    "/run/udev/data/b9:127": "S:md/data\nS:disk/by-id/md-uuid-1\nS:disk/by-id/lvm-pv-uuid-9\nE:MD_NAME=host:data\nE:MD_UUID=1:2",
    "/sys/block/md127/md/level": "raid5", "/sys/block/md127/md/raid_disks": "4 (3)", "/sys/block/md127/md/array_state": "active",
    "/sys/block/md127/md/degraded": "1", "/sys/block/md127/md/sync_action": "reshape", "/sys/block/md127/md/sync_completed": "5 / 50",
    "/sys/block/md127/md/component_size": "400", "/sys/block/md127/md/dev-sda/state": "in_sync",
    "/sys/block/md9/size": "0", "/sys/block/md9/md/array_state": "inactive", "/sys/block/md9/md/dev-sdq/state": "spare",
    "/sys/block/dm-0/size": "800", "/sys/block/dm-0/dev": "254:0", "/sys/block/dm-0/dm/name": "data-v", "/sys/block/dm-0/dm/uuid": "LVM-x",
    "/sys/block/dm-0/slaves/md127/x": "", "/run/udev/data/b254:0": "E:x=y",
    "/proc/swaps": "Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2",
    "/proc/self/mountinfo": "1 1 254:0 / /srv/v rw - xfs /dev/mapper/data-v rw\n2 1 0:30 / /b rw - btrfs /dev/cciss/c0d0 rw",
}  # fmt: skip


def test_block_devices_of_a_tree(tmp_path):
    tree = Tree(str(write(tmp_path, BLOCKS)))
    found = blocks.read(tree, mounts.read(tree))
    assert list(found) == ["cciss!c0d0", "dm-0", "md127", "md9", "sda", "sdb", "sdb1"]
    assert (found["md9"].size_bytes, found["md9"].array.state, found["md9"].array.members) == (
        0,
        "inactive",
        {"sdq": "spare"},
    )
    sda, sdb, part, md, dm, other = (found[name] for name in ("sda", "sdb", "sdb1", "md127", "dm-0", "cciss!c0d0"))
    assert (sda.kind, sda.media, sda.serial, sda.model, sda.holders) == ("disk", "hdd", "XA", "A DISK", ["md127"])
    assert (sda.lasting, sda.said, sda.size_bytes) == ("/dev/disk/by-id/wwn-0x5", "sda (serial XA)", 512000)
    assert (sdb.read_only, sdb.removable, sdb.parts, sdb.swap) == (True, True, ["sdb1"], False)
    assert (part.kind, part.disk, part.swap, part.serial, part.known_to_udev) == ("part", "sdb", True, "XB", True)
    assert (md.kind, md.lasting) == ("md", "/dev/disk/by-id/md-uuid-1")
    assert md.array == blocks.Array(
        "raid5", "1:2", "data", "active", 4, 1, "reshape", "5 / 50", 409600, 0, {"sda": "in_sync"}
    )
    assert (dm.kind, dm.mapped_name, dm.mounts) == ("dm", "data-v", ["/srv/v"])
    assert (other.path, other.mounts, other.known_to_udev, other.said) == (
        "/dev/cciss/c0d0",
        ["/b"],
        False,
        "cciss!c0d0",
    )
    assert blocks.disks_below("dm-0", found) == {"sda"}
    assert blocks.disks_below("sdb1", found) == {"sdb"}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([path for path in BLOCKS if not path.endswith("/x")]),
        st.sampled_from(["", "x", "-1", "8:0", "9" * 40, "a/b\\n\x00"]),
        max_size=8,
    )
)
def test_hostile_files_do_not_make_it_raise(tmp_path_factory, changes):
    tree = Tree(str(write(tmp_path_factory.mktemp("tree"), {**BLOCKS, **changes})))
    blocks.read(tree, mounts.read(tree))
