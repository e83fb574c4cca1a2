# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which facts a requirement may name: every path of `mlops_hardware` with its kind, its unit and where it is read.

A path's first part is a section. `section[].field` means that field of every item of a list, `section[]` the items themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import units

NUMBER, TEXT, FLAG, TEXTS, ITEMS = "number", "text", "flag", "texts", "items"


class Fact(NamedTuple):
    """What is known about a fact path: kind, dimension, base units per reported unit, and the place it is read from."""

    kind: str
    dimension: str
    scale: float
    source: str


def _number(source: str, dimension: str = units.COUNT, scale: float = 1) -> Fact:
    return Fact(NUMBER, dimension, scale, source)


def _text(source: str) -> Fact:
    return Fact(TEXT, "", 1, source)


def _flag(source: str) -> Fact:
    return Fact(FLAG, "", 1, source)


def _items(source: str) -> Fact:
    return Fact(ITEMS, units.COUNT, 1, source)


_DMI = "/sys/class/dmi/id"
_CPU = "/sys/devices/system/cpu"
_PCI = "/sys/bus/pci/devices"
_BLOCK = "/sys/block"
_NET = "/sys/class/net"
_MOUNTS = "/proc/self/mountinfo"
_DIMMS = "/sys/firmware/dmi/tables/DMI"

FACTS: dict[str, Fact] = {
    "system.vendor": _text(f"{_DMI}/sys_vendor"),
    "system.product": _text(f"{_DMI}/product_name"),
    "system.bios_version": _text(f"{_DMI}/bios_version"),
    "system.bios_date": _text(f"{_DMI}/bios_date"),
    "system.architecture": _text("uname"),
    "system.kernel": _text("/proc/sys/kernel/osrelease"),
    "system.virtualization": _text("/proc/cpuinfo, DMI"),
    "system.container": _text("/run/systemd/container"),
    "system.firmware": _text("/sys/firmware/efi"),
    "system.secure_boot": _flag("/sys/firmware/efi/efivars/SecureBoot-*"),
    "system.lockdown": _text("/sys/kernel/security/lockdown"),
    "system.iommu.enabled": _flag("/sys/kernel/iommu_groups"),
    "system.iommu.passthrough": _flag("/sys/kernel/iommu_groups/*/type"),
    "system.os.id": _text("/etc/os-release"),
    "system.os.version_id": _text("/etc/os-release"),
    "cpu.vendor": _text("/proc/cpuinfo"),
    "cpu.model": _text("/proc/cpuinfo"),
    "cpu.sockets": _number(f"{_CPU}/*/topology"),
    "cpu.cores": _number(f"{_CPU}/*/topology"),
    "cpu.threads": _number(f"{_CPU}/online"),
    "cpu.present": _number(f"{_CPU}/present"),
    "cpu.threads_per_core": _number(f"{_CPU}/*/topology"),
    "cpu.smt_active": _flag(f"{_CPU}/smt/active"),
    "cpu.hybrid": _flag(f"{_CPU}/*/topology"),
    "cpu.governors": Fact(TEXTS, "", 1, f"{_CPU}/cpufreq/*/scaling_governor"),
    "cpu.ml_flags": Fact(TEXTS, "", 1, "/proc/cpuinfo"),
    "memory.total_bytes": _number("/proc/meminfo", units.BYTES),
    "memory.installed_bytes": _number("/sys/devices/system/memory", units.BYTES),
    "memory.ecc": _flag(_DIMMS),
    "memory.dimm_slots": _number(_DIMMS),
    "memory.dimms_populated": _number(_DIMMS),
    "memory.dimms_missing": _number(f"{_DIMMS}: modules that one for every second slot lacks"),
    "memory.transparent_hugepages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
    "numa[]": _items("/sys/devices/system/node"),
    "numa[].memory_bytes": _number("/sys/devices/system/node/*/meminfo", units.BYTES),
    "numa[].kind": _text("/sys/devices/system/node"),
    "accelerators[]": _items(_PCI),
    "accelerators[].vendor": _text(f"{_PCI}/*/vendor"),
    "accelerators[].pci_id": _text(f"{_PCI}/*/device"),
    "accelerators[].name": _text("the driver, or the PCI-id table"),
    "accelerators[].architecture": _text("the driver, or the PCI-id table"),
    "accelerators[].memory_bytes": _number("the driver, or the PCI-id table", units.GPU_MEMORY),
    "accelerators[].unified_memory": _flag("the driver, or the PCI-id table"),
    "accelerators[].driver": _text(f"{_PCI}/*/driver"),
    "accelerators[].driver_version": _text("the driver"),
    "accelerators[].numa_node": _number(f"{_PCI}/*/numa_node"),
    "accelerators[].link.max_generation": _number(f"{_PCI}/*/max_link_speed"),
    "accelerators[].link.width": _number(f"{_PCI}/*/current_link_width"),
    "accelerators[].link.max_width": _number(f"{_PCI}/*/max_link_width"),
    "accelerators[].link.path_generation": _number(f"{_PCI}/*/max_link_speed, up to the root port"),
    "accelerators[].link.path_width": _number(f"{_PCI}/*/max_link_width, up to the root port"),
    "accelerators[].virtual_functions": _number(f"{_PCI}/*/physfn"),
    "accelerators[].virtualization": _text("the driver"),
    "accelerators[].power.limit_watts": _number("the driver"),
    "accelerators[].power.default_limit_watts": _number("the driver"),
    "accelerators[].power.max_limit_watts": _number("the driver"),
    "accelerators[].mig.enabled": _flag("the driver"),
    "accelerators[].health.slowdowns": Fact(TEXTS, "", 1, "the driver"),
    "accelerators[].health.fabric": _text("the driver"),
    "network[]": _items(_NET),
    "network[].name": _text(_NET),
    "network[].pci_id": _text(f"{_NET}/*/device/device"),
    "network[].virtual_function": _flag(f"{_NET}/*/device/physfn"),
    "network[].carrier": _flag(f"{_NET}/*/carrier"),
    "network[].driver": _text(f"{_NET}/*/device/driver"),
    "network[].speed_mbps": _number(f"{_NET}/*/speed", units.BITS_PER_SECOND, 10**6),
    "network[].state": _text(f"{_NET}/*/operstate"),
    "network[].mtu": _number(f"{_NET}/*/mtu"),
    "disks[]": _items(_BLOCK),
    "disks[].name": _text(_BLOCK),
    "disks[].model": _text(f"{_BLOCK}/*/device/model"),
    "disks[].size_bytes": _number(f"{_BLOCK}/*/size", units.BYTES),
    "disks[].kind": _text(f"{_BLOCK}/*/queue/rotational"),
    "disks[].in_use": Fact(TEXTS, "", 1, f"{_BLOCK}, {_MOUNTS}"),
    "raid.degraded_arrays": _number(f"{_BLOCK}/md*/md/degraded"),
    "filesystems[]": _items(_MOUNTS),
    "filesystems[].mount": _text(_MOUNTS),
    "filesystems[].type": _text(_MOUNTS),
    "filesystems[].size_bytes": _number(f"statvfs, {_MOUNTS}", units.BYTES),
    "filesystems[].available_bytes": _number(f"statvfs, {_MOUNTS}", units.BYTES),
    "fabric.nvswitches": _number(_PCI),
    "fabric.rdma": _flag("/sys/class/infiniband"),
    "limits.memory_bytes": _number("/sys/fs/cgroup, /proc/meminfo", units.BYTES),
    "limits.cpus": _number("/sys/fs/cgroup, /proc/self/status"),
}
