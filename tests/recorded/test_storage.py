"""What lsblk and findmnt said of real servers, turned into block devices: which disks are free, and why not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import mounts
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .place import names
from .processors import write

USES = ("storage/gpud__lsblk*", "storage/gpud__findmnt*")
UNITS = {"B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def bytes_of(size: object) -> int:
    """1920383410176, or `1.7T` as older ones print it."""
    match = re.fullmatch(r"([\d.]+)([BKMGT]?)", str(size))
    return int(float(match.group(1)) * UNITS[match.group(2) or "B"]) if match else 0


def places_of(device: dict) -> list[str]:
    return [place for place in [device.get("mountpoint"), *(device.get("mountpoints") or [])] if place]


def write_blocks(devices: list[dict], root: Path) -> dict[str, bool]:
    """Block devices, udev's database and mounts; whether lsblk shows anything on each disk."""
    used: dict[str, bool] = {}
    mounted = []
    number = 0

    def enter(device: dict, place: str) -> str:
        nonlocal number
        number += 1
        name = device["name"].rpartition("/")[2]
        write(root, f"{place}/size", bytes_of(device["size"]) // 512)
        write(root, f"{place}/dev", f"259:{number}")
        signature = device.get("fstype")
        write(root, f"run/udev/data/b259:{number}", f"E:ID_FS_TYPE={signature}" if signature else "E:DEVTYPE=disk")
        mounted.extend(f"1 1 259:{number} / {point} rw - ext4 /dev/{name} rw" for point in places_of(device))
        for child in device.get("children", []):
            below = child["name"].rpartition("/")[2]
            if child["type"] == "part":
                write(root, f"{place}/{below}/partition", 1)
                enter(child, f"{place}/{below}")
            else:
                write(root, f"{place}/holders/{below}/dm", "")
        return name

    for device in devices:
        name = enter(device, f"sys/block/{device['name'].rpartition('/')[2]}")
        if device["type"] == "disk" and bytes_of(device["size"]):
            used[name] = bool(device.get("children") or device.get("fstype") or places_of(device))
    write(root, "proc/self/mountinfo", "\n".join(mounted))
    return used


@pytest.mark.parametrize("name", names("storage/gpud__lsblk*"))
def test_a_disk_is_free_where_lsblk_shows_nothing_on_it(name, recorded, tmp_path):
    used = write_blocks(json.loads((recorded / name).read_text())["blockdevices"], tmp_path)
    found = {disk["name"]: disk["in_use"] for disk in gather(str(tmp_path))["disks"]}
    assert used
    assert {disk: bool(reasons) for disk, reasons in found.items()} == used
    assert None not in found.values()


def test_reasons_name_raid_lvm_and_filesystem(recorded, tmp_path):
    document = json.loads((recorded / "storage/gpud__lsblk.withlv.censored.json").read_text())
    write_blocks(document["blockdevices"], tmp_path)
    found = {disk["name"]: disk["in_use"] for disk in gather(str(tmp_path))["disks"]}
    assert found["sda"] == ["partitions: sda1, sda2", "part of: md127", "mounted: /boot/efi"]
    assert found["nvme0n1"] == ["part of: vg_nvme-lv_nvme_rimage_0", "signature: LVM2_member"]
    # A filesystem that is not mounted is not free either.
    assert found["nvme1n1"] == ["signature: ext4"]


@pytest.mark.parametrize("name", names("storage/gpud__findmnt*"))
def test_mounts_of_findmnt(name, recorded, tmp_path):
    entries = json.loads((recorded / name).read_text())["filesystems"]
    lines = [
        f"{n} 1 0:{n} / {entry['target']} rw - {entry['fstype']} {entry['source']} rw"
        for n, entry in enumerate(entries)
    ]
    write(tmp_path, "proc/self/mountinfo", "\n".join(lines))
    found = gather(str(tmp_path))["filesystems"]
    assert [(item["mount"], item["device"], item["type"]) for item in found] == [
        (entry["target"], entry["source"], entry["fstype"]) for entry in entries
    ]
    assert len(mounts.parse_mountinfo("\n".join(lines))) == len(entries) > 0
