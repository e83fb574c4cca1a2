# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accelerators: found by PCI class, described by driver, PCI id, name, or size of the memory window, in this order."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table, pci
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

SOURCES = {"*": pci.DEVICES}
NVIDIA_VERSION = "/proc/driver/nvidia/version"
PCI_IDS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")

_VGA, _3D, _DISPLAY, _PROCESSING, _COPROCESSOR = 0x0300, 0x0302, 0x0380, 0x1200, 0x0B40
_DISPLAYS = (_VGA, _DISPLAY)
# Server management chips by ATI, which show a console and compute nothing.
_BMC = frozenset({"1002:4752", "1002:5159", "1002:515e", "1002:5969"})
# Co-processors are mostly for encryption (QAT, Nitrox); these makers' ones compute.
_COMPUTING_COPROCESSORS = frozenset({"10de", "1002", "1bcf"})
_XEON_PHI = re.compile(r"8086:22[5-6].")
# A window of this size says nothing: cards from 2 to 24 GB have it.
_PLAIN_WINDOW_BYTES = 256 * MIB


def is_accelerator(code: int, identity: str, address: str) -> bool:
    """Whether a PCI function (24-bit class, `vendor:device`) computes: no console, bridge, audio or encryption."""
    kind, vendor = code >> 8, identity[:4]
    if kind in (_3D, _PROCESSING):
        return True
    if kind == _COPROCESSOR:
        return vendor in _COMPUTING_COPROCESSORS or bool(_XEON_PHI.fullmatch(identity))
    if kind not in _DISPLAYS or identity in _BMC:
        return False
    # Intel's graphics inside the CPU sit on bus 0; its cards do not.
    return vendor in ("10de", "1002") or (vendor == "8086" and address.split(":")[1] != "00")


def empty(address: str | None, identity: str | None) -> dict[str, Any]:
    """A record with every key and nothing known but the ids."""
    model = accelerator_table.MODELS.get(identity or "")
    vendor = (identity or "")[:4]
    return {
        "pci_address": address,
        "vendor": accelerator_table.VENDORS.get(vendor, vendor or None),
        "pci_id": identity,
        "name": model.name if model else None,
        "architecture": model.architecture if model else None,
        "memory_bytes": None,
        "memory_bracket_bytes": None,
        "memory_source": None,
        "memory_class_gb": None,
        "unified_memory": identity in accelerator_table.UNIFIED if identity else None,
        "driver": None,
        "driver_version": None,
        "uuid": None,
        "numa_node": None,
        "link": pci.link_values(),
        "virtual_functions": 0,
        "virtualization": None,
        "power": {"limit_watts": None, "default_limit_watts": None, "max_limit_watts": None},
        "mig": {"enabled": None, "instances": []},
        "health": {"ecc": None, "xid": None, "remapped": None, "slowdowns": None, "fabric": None},
    }


def from_pci(tree: Tree, classes: dict[str, int]) -> list[dict[str, Any]]:
    """One record for each accelerator on the PCI bus; a virtual function is a part of its card, not one more."""
    found: dict[str, dict[str, Any]] = {}
    guests: list[str] = []
    bridges: dict[str, tuple[int | None, int | None]] = {}
    for address, code in classes.items():
        if code >> 8 not in (_VGA, _3D, _DISPLAY, _PROCESSING, _COPROCESSOR):
            continue
        identity = pci.pci_id(tree, address)
        place = f"{pci.DEVICES}/{address}"
        if identity is None:
            tree.incomplete.setdefault("accelerators", (place + "/device", tree.reason(place + "/device")))
            continue
        if not is_accelerator(code, identity, address):
            continue
        card = tree.link_name(place + "/physfn")
        if card is not None:
            guests.append(card)
            continue
        record = empty(address, identity)
        record["numa_node"] = pci.numa_node(tree, place)
        record["driver"] = tree.link_name(place + "/driver")
        record["link"] = {**pci.link(tree, address), **pci.path_limits(tree, address, bridges)}
        if record["vendor"] == "amd":
            size = tree.integer(place + "/mem_info_vram_total")
            record["memory_bytes"] = size if size is not None and size > 0 else None
            record["uuid"] = tree.text(place + "/unique_id")
            record["power"] = amd_power(tree, place)
        found[address] = record
    for card in guests:
        if card in found:
            found[card]["virtual_functions"] += 1
    return list(found.values())


def amd_power(tree: Tree, place: str) -> dict[str, float | None]:
    """The power limits that amdgpu shows as a sensor, in microwatts there and watts here."""
    sensor = next((name for name in tree.names(place + "/hwmon") if re.fullmatch(r"hwmon[0-9]{1,5}", name)), None)
    found: dict[str, float | None] = {}
    for name, file in (
        ("limit", "power1_cap"),
        ("default_limit", "power1_cap_default"),
        ("max_limit", "power1_cap_max"),
    ):
        value = tree.integer(f"{place}/hwmon/{sensor}/{file}") if sensor else None
        found[name + "_watts"] = value / 1e6 if value is not None and 0 < value < 10**11 else None
    return found


def merge(records: list[dict[str, Any]], told: list[dict[str, Any]], vendor_id: str) -> None:
    """Put what a driver's tool tells about the cards of one vendor into `records`, by address.

    A card whose address is cut out or unknown to the bus takes the vendor's next record that nobody claimed, and is
    appended when there is none: a tool sees no cards that do not exist.
    """
    free = {record["pci_address"]: record for record in records if (record["pci_id"] or "").startswith(vendor_id)}
    late = []
    for card in told:
        record = free.pop(card["pci_address"], None) if card["pci_address"] else None
        if record is None:
            late.append(card)
        else:
            _fill(record, card)
    for card in late:
        same = [address for address, record in free.items() if card["pci_id"] in (None, record["pci_id"])]
        if card["pci_address"] is None and same:
            record = free.pop(same[0])
        else:
            record = empty(card["pci_address"], card["pci_id"])
            record["vendor"] = accelerator_table.VENDORS[vendor_id]
            records.append(record)
        _fill(record, card)


def _fill(record: dict[str, Any], card: dict[str, Any]) -> None:
    for name, value in card.items():
        if isinstance(value, dict) and name in ("link", "power"):
            # The bus tells the same, and also without a driver; its word is kept.
            for part, number in value.items():
                if record[name][part] is None:
                    record[name][part] = number
        elif value is not None and (name not in ("pci_address", "pci_id") or record[name] is None):
            record[name] = value


def settle_memory(record: dict[str, Any], name: str | None, window_bytes: int | None) -> None:
    """Decide memory_bytes, memory_source and memory_class_gb; `name` is the PCI database's name for the card."""
    model = accelerator_table.MODELS.get(record["pci_id"] or "")
    sold_as = model.memory_class_gb if model else None
    if record["unified_memory"]:
        # Such a driver reports nothing, or a share of the host's memory.
        record["memory_bytes"] = None
        return
    if record["memory_bytes"]:
        record["memory_source"] = "driver"
        record["memory_class_gb"] = accelerator_table.memory_class(record["memory_bytes"], sold_as)
    elif sold_as:
        _nominal(record, sold_as, "pci_id")
    elif model is None and named_gb(record["name"] or name):
        _nominal(record, named_gb(record["name"] or name) or 0, "name")
    elif window_bytes and window_bytes > _PLAIN_WINDOW_BYTES:
        record["memory_source"] = "bar"
        record["memory_bracket_bytes"] = {"more_than": window_bytes // 2, "at_most": window_bytes}


def _nominal(record: dict[str, Any], size_gb: int, source: str) -> None:
    record["memory_bytes"] = size_gb * 2**30
    record["memory_class_gb"] = size_gb
    record["memory_source"] = source


def named_gb(name: str | None) -> int | None:
    """`GA100 [A100 PCIe 40GB]` as 40; None when it names no size or, as for combined chips, several."""
    sizes = {int(size) for size in re.findall(r"(?<![0-9.])([0-9]{1,3}) ?GB\b", name or "")}
    return sizes.pop() if len(sizes) == 1 else None


def names_from_database(tree: Tree, wanted: set[str]) -> dict[str, str]:
    """Names by `vendor:device` from the host's own pci.ids, for cards that the table does not know."""
    if wanted:
        for path in PCI_IDS:
            data = tree.data(path, 8 * MIB)
            if data:
                return pci.parse_names(data, wanted)
    return {}


def nvidia_driver_version(text: str | None) -> str | None:
    """`NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  …` as `570.86.15`."""
    match = re.search(r"Kernel Module(?: for \S+)?\s+([0-9]{1,4}(?:\.[0-9]{1,4}){1,3})", text or "")
    return match.group(1) if match else None


def finish(tree: Tree, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Names, memory and driver versions for the merged records."""
    unknown = {
        record["pci_id"]
        for record in records
        if record["pci_id"] and (record["name"] is None or record["memory_bytes"] is None)
    }
    names = names_from_database(tree, unknown - set(accelerator_table.MODELS))
    for record in records:
        name = names.get(record["pci_id"] or "")
        window = None
        if record["memory_bytes"] is None and record["pci_address"]:
            window = pci.largest_region(tree.text(f"{pci.DEVICES}/{record['pci_address']}/resource"))
        settle_memory(record, name, window)
        record["name"] = record["name"] or name
        if record["vendor"] != "nvidia":
            # Only NVIDIA's cards can be cut by MIG.
            record["mig"]["enabled"] = False
        if record["driver_version"] is None and record["driver"]:
            record["driver_version"] = tree.text(f"/sys/module/{record['driver']}/version")
            if record["driver"] == "nvidia":
                record["driver_version"] = record["driver_version"] or nvidia_driver_version(tree.text(NVIDIA_VERSION))
    return records
