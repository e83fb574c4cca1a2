# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets, cores and threads from sysfs; model and instruction sets from /proc/cpuinfo."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.lists import cpu_list, cpu_mask
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import KIB, Tree

CPU = "/sys/devices/system/cpu"
CPUINFO = "/proc/cpuinfo"
# Intel's two kinds of cores have a counter unit each.
HYBRID_UNITS = ("/sys/devices/cpu_core", "/sys/devices/cpu_atom")
SOURCES = {
    "vendor": CPUINFO,
    "model": CPUINFO,
    "ml_flags": CPUINFO,
    "threads": CPU + "/online",
    "sockets": CPU + "/cpu0/topology/physical_package_id",
    "cores": CPU + "/cpu0/topology/core_cpus_list",
    "threads_per_core": CPU + "/cpu0/topology/core_cpus_list",
    "present": CPU + "/present",
    "smt_active": CPU + "/smt/active",
    "hybrid": CPU + "/cpu0/topology/core_cpus_list",
    "governors": CPU + "/cpufreq",
}

# Instruction sets that a machine-learning library chooses its code by.
ML_FLAGS_X86 = frozenset(
    {
        "avx",
        "avx2",
        "fma",
        "f16c",
        "avx_vnni",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512_bf16",
        "avx512_fp16",
        "avx512_vnni",
        "amx_tile",
        "amx_bf16",
        "amx_int8",
        "amx_fp16",
    }
)
# `sme` is another thing on x86: encrypted memory.
ML_FLAGS_ARM = frozenset(
    {
        "asimd",
        "asimdhp",
        "asimddp",
        "fphp",
        "sve",
        "sve2",
        "sveb16",
        "svebf16",
        "svei8mm",
        "bf16",
        "i8mm",
        "sme",
        "sme2",
    }
)
# One block of cpuinfo describes the machine; the blocks of further CPUs are slow to make and say the same.
CPUINFO_HEAD_BYTES = 16 * KIB
# Vendor codes of Arm's main id register, as in the kernel's cputype.h.
ARM_VENDORS = {
    0x41: "ARM",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x61: "Apple",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}


def parse_cpuinfo(text: str | None) -> dict[str, str]:
    """The first CPU's fields of /proc/cpuinfo, and those that stand after the last CPU, by name."""
    fields: dict[str, str] = {}
    for line in (text or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def vendor_of(fields: dict[str, str]) -> str | None:
    """The maker's name: x86 says it, Arm gives a number, POWER puts it in the model."""
    vendor = fields.get("vendor_id") or fields.get("vendor")
    if vendor:
        return vendor
    implementer = fields.get("CPU implementer", "")
    if re.fullmatch(r"0x[0-9a-fA-F]{1,4}", implementer):
        return ARM_VENDORS.get(int(implementer, 16), implementer)
    return "IBM" if fields.get("cpu", "").startswith("POWER") else None


def model_of(fields: dict[str, str]) -> str | None:
    """The model as printed; on Arm the part number, which is all that the kernel knows."""
    for name in ("model name", "cpu", "family"):
        if fields.get(name):
            return " ".join(fields[name].split())
    part = fields.get("CPU part")
    return f"part {part}" if part else None


def ml_flags_of(fields: dict[str, str]) -> list[str] | None:
    """The flags out of ML_FLAGS_X86 or ML_FLAGS_ARM, sorted; None where cpuinfo lists no flags (POWER)."""
    for name, wanted in (("flags", ML_FLAGS_X86), ("Features", ML_FLAGS_ARM)):
        if fields.get(name):
            return sorted(wanted.intersection(fields[name].split()))
    return None


def online_cpus(tree: Tree) -> list[int] | None:
    """Numbers of the online CPUs; recorded trees of old kernels have no list but one directory each."""
    online = cpu_list(tree.text(CPU + "/online"))
    if online:
        return online
    found = []
    for name in tree.names(CPU):
        if not re.fullmatch(r"cpu[0-9]{1,5}", name):
            continue
        stated = tree.text(f"{CPU}/{name}/online")
        # A CPU that cannot be switched off has no such file; one that is off has no topology.
        if stated == "1" or (stated is None and tree.exists(f"{CPU}/{name}/topology")):
            found.append(int(name[3:]))
    return sorted(found) or None


def siblings(tree: Tree, cpu: int) -> list[int] | None:
    """The CPUs that share a core with `cpu`, under whichever name the kernel's age gave the file."""
    topology = f"{CPU}/cpu{cpu}/topology/"
    for name in ("core_cpus_list", "thread_siblings_list"):
        found = cpu_list(tree.text(topology + name))
        if found:
            return found
    for name in ("core_cpus", "thread_siblings"):
        found = cpu_mask(tree.text(topology + name))
        if found:
            return found
    return None


class Topology(NamedTuple):
    """Sockets, cores, the largest number of threads in one core, and whether the cores are of several kinds."""

    sockets: Optional[int] = None  # noqa: UP045 (evaluated at run time on Python 3.9)
    cores: Optional[int] = None  # noqa: UP045
    threads_per_core: Optional[int] = None  # noqa: UP045
    hybrid: Optional[bool] = None  # noqa: UP045


def topology(tree: Tree, online: list[int], whole: bool) -> Topology:
    """Counted from each core's first online CPU. `whole`: no CPU is offline, so that cores can be compared."""
    packages: set[int] = set()
    counts: list[int] = []
    seen: set[int] = set()
    present = set(online)
    # Arm's firmware rates each kind of core by its own capacity; a machine without such ratings has none for any CPU.
    rated = bool(online) and tree.exists(f"{CPU}/cpu{online[0]}/cpu_capacity")
    capacities: set[int | None] = set()
    for cpu in online:
        if cpu in seen:
            continue
        # A trimmed record lists more CPUs than it holds: those it holds decide.
        together = siblings(tree, cpu)
        if together is None:
            if counts:
                continue
            return Topology()
        mine = (set(together) & present) | {cpu}
        seen |= mine
        counts.append(len(mine))
        if rated:
            capacities.add(tree.integer(f"{CPU}/cpu{cpu}/cpu_capacity"))
        package = tree.integer(f"{CPU}/cpu{cpu}/topology/physical_package_id")
        if package is not None and package >= 0:
            packages.add(package)
    if not counts:
        return Topology()
    hybrid: bool | None = all(tree.exists(unit) for unit in HYBRID_UNITS) or len(capacities - {None}) > 1
    if not hybrid and len(set(counts)) > 1:
        hybrid = True if whole else None
        if hybrid is None:
            tree.note("cpu.hybrid", CPU + "/online", "cores differ in threads, but not all CPUs are online")
    return Topology(len(packages) or None, len(counts), max(counts), hybrid)


def smt_active(tree: Tree, threads_per_core: int | None) -> bool | None:
    """Whether cores run several threads now; kernels before 4.19 have no word on it, then the cores tell."""
    stated = tree.integer(CPU + "/smt/active")
    if stated in (0, 1):
        return bool(stated)
    return threads_per_core > 1 if threads_per_core is not None else None


def governors(tree: Tree) -> list[str] | None:
    """The frequency governors in use, sorted; None where the kernel does not scale frequencies (most guests)."""
    policies = [name for name in tree.names(CPU + "/cpufreq") if re.fullmatch(r"policy[0-9]{1,5}", name)]
    stated = {tree.text(f"{CPU}/cpufreq/{name}/scaling_governor") for name in policies}
    return sorted(name for name in stated if name) if stated and None not in stated else None


def read(tree: Tree) -> dict[str, Any]:
    """The `cpu` facts. `threads` counts the machine's online CPUs, not those this process may use."""
    fields = parse_cpuinfo(tree.text(CPUINFO, CPUINFO_HEAD_BYTES))
    online = online_cpus(tree)
    present = cpu_list(tree.text(CPU + "/present")) or None
    counts = topology(tree, online or [], present is None or present == online)
    return {
        "vendor": vendor_of(fields),
        "model": model_of(fields),
        "sockets": counts.sockets,
        "cores": counts.cores,
        "threads": len(online) if online else None,
        "present": len(present) if present else None,
        "threads_per_core": counts.threads_per_core,
        "smt_active": smt_active(tree, counts.threads_per_core),
        "hybrid": counts.hybrid,
        "governors": governors(tree),
        "ml_flags": ml_flags_of(fields),
    }
