# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and what is on them. A disk is free only when every place that could say otherwise was looked at."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import Mount
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

BLOCK = "/sys/block"
UDEV = "/run/udev/data"
SWAPS = "/proc/swaps"
SOURCES = {"*": BLOCK, "by_id": UDEV, "serial": UDEV, "in_use": UDEV}
# The unit of `size` in sysfs, whatever the disk's own sector is.
SECTOR_BYTES = 512
# Made by software out of memory, files or other disks, or removable; and one path of an NVMe disk that has several,
# which is seen once more under its own name.
_PSEUDO = re.compile(
    r"(loop|ram|zram|dm-|md|sr|fd|nbd|drbd|rbd|bcache|zd)[0-9]*|md_?d?[\w.-]+|nvme[0-9]+c[0-9]+n[0-9]+"
)
_VIRTUAL_NAME = re.compile(r"(vd|xvd)[a-z]+")
_VIRTUAL_MODEL = re.compile(r"QEMU|VBOX|VMware|Virtual|Msft|Amazon Elastic|PersistentDisk", re.I)
# Names that say which disk it is, most telling first.
_BY_ID = ("wwn-", "nvme-eui.", "nvme-", "scsi-", "ata-", "virtio-")


def parse_udev(text: str | None) -> dict[str, list[str]]:
    """Links (`S`) and properties (`E`, as `NAME=value`) of an entry in udev's database."""
    found: dict[str, list[str]] = {"S": [], "E": []}
    for line in (text or "").splitlines():
        if line[:2] in ("S:", "E:"):
            found[line[0]].append(line[2:])
    return found


def kind_of(name: str, model: str | None, rotational: int | None, driver: str | None) -> str | None:
    """nvme, ssd, hdd or virtual. Behind a hypervisor the kernel's word on rotation means nothing."""
    if _VIRTUAL_NAME.fullmatch(name) or driver in ("virtio_blk", "xen-blkfront") or _VIRTUAL_MODEL.search(model or ""):
        return "virtual"
    if name.startswith("nvme"):
        return "nvme"
    return {0: "ssd", 1: "hdd"}.get(rotational if rotational is not None else -1)


def reasons(tree: Tree, name: str, number: str, udev: dict[str, list[str]], table: list[Mount]) -> list[str]:
    """What the disk is used for, in words; partitions are counted with their disk."""
    found = []
    place = f"{BLOCK}/{name}"
    parts = [part for part in tree.names(place) if part.startswith(name) and tree.exists(f"{place}/{part}/partition")]
    if parts:
        found.append(f"partitions: {', '.join(parts)}")
    holders = set(tree.names(place + "/holders"))
    numbers = {number}
    for part in parts:
        holders.update(tree.names(f"{place}/{part}/holders"))
        numbers.add(tree.text(f"{place}/{part}/dev") or number)
    if holders:
        found.append(f"part of: {', '.join(sorted(holders))}")
    devices = {f"/dev/{device}" for device in (name, *parts)}
    mounted = sorted({mount.mount for mount in table if mount.number in numbers or mount.device in devices})
    if mounted:
        more = f" and {len(mounted) - 3} more" if len(mounted) > 3 else ""
        found.append(f"mounted: {', '.join(mounted[:3])}{more}")
    swaps = {line.split(" ")[0].split("\t")[0] for line in (tree.text(SWAPS) or "").splitlines()}
    if swaps & devices:
        found.append("swap")
    for entry in udev["E"]:
        key, _equals, value = entry.partition("=")
        if key == "ID_FS_TYPE" and value:
            found.append(f"signature: {value[:40]}")
        elif key == "ID_PART_TABLE_TYPE" and value and not parts:
            found.append(f"partition table: {value[:40]}")
    if tree.text(place + "/ro") == "1":
        found.append("read-only")
    return found


def read(tree: Tree, table: list[Mount]) -> list[dict[str, Any]]:
    """The `disks` facts, sorted by name; in_use is None when nothing was found and udev's database is missing."""
    found = []
    names = tree.names(BLOCK)
    if not names and tree.reason(BLOCK) not in ("not there", "empty"):
        tree.incomplete.setdefault("disks", (BLOCK, tree.reason(BLOCK)))
    for name in names:
        if _PSEUDO.fullmatch(name):
            continue
        place = f"{BLOCK}/{name}"
        sectors = tree.integer(place + "/size")
        if sectors is None:
            tree.incomplete.setdefault("disks", (place + "/size", tree.reason(place + "/size")))
        if not sectors or sectors < 0 or tree.text(place + "/removable") == "1":
            continue
        number = tree.text(place + "/dev") or ""
        entry = tree.text(f"{UDEV}/b{number}") if re.fullmatch(r"[0-9]{1,9}:[0-9]{1,9}", number) else None
        udev = parse_udev(entry)
        properties = dict(item.partition("=")[::2] for item in udev["E"])
        model = tree.text(place + "/device/model") or properties.get("ID_MODEL") or None
        names = sorted(link[len("disk/by-id/") :] for link in udev["S"] if link.startswith("disk/by-id/"))
        in_use: list[str] | None = reasons(tree, name, number, udev, table)
        if not in_use and entry is None:
            in_use = None
            tree.note(
                f"disks[{name}].in_use", UDEV, "nothing is seen on it, but udev's database is not there to confirm"
            )
        found.append(
            {
                "name": name,
                "by_id": min(names, key=_rank) if names else None,
                "serial": tree.text(place + "/device/serial")
                or tree.text(place + "/serial")
                or properties.get("ID_SERIAL_SHORT")
                or None,
                "model": " ".join(model.split()) if model else None,
                "size_bytes": sectors * SECTOR_BYTES,
                "kind": kind_of(
                    name, model, tree.integer(place + "/queue/rotational"), tree.link_name(place + "/device/driver")
                ),
                "in_use": in_use,
                "numa_node": _numa_node(tree, place),
            }
        )
    return found


def _rank(link: str) -> tuple[int, str]:
    return next((rank for rank, start in enumerate(_BY_ID) if link.startswith(start)), len(_BY_ID)), link


def _numa_node(tree: Tree, place: str) -> int | None:
    node = pci.numa_node(tree, place + "/device")
    if node is None:
        address = pci.address_of(tree, place + "/device")
        node = pci.numa_node(tree, f"{pci.DEVICES}/{address}") if address else None
    return node
