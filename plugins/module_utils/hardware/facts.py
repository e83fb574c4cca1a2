# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All hardware facts of one machine, in the form that `mlops_hardware` promises."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import (
    accelerator_table,
    accelerators,
    cpu,
    disks,
    drivers,
    fabric,
    filesystems,
    kfd,
    limits,
    memory,
    mounts,
    network,
    numa,
    pci,
    raid,
    system,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.missing import missing
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree

SCHEMA = 1
# Where a fact without a note of its own was looked for: by subject, then by its last name or `*`.
SOURCES: dict[str, dict[str, str]] = {
    "system": system.SOURCES,
    "cpu": cpu.SOURCES,
    "memory": memory.SOURCES,
    "numa": numa.SOURCES,
    "accelerators": accelerators.SOURCES,
    "fabric": fabric.SOURCES,
    "network": network.SOURCES,
    "disks": disks.SOURCES,
    "raid": raid.SOURCES,
    "limits": limits.SOURCES,
    "filesystems": filesystems.SOURCES,
    "drivers": drivers.SOURCES,
}
# What names a record in a list, so that `unreadable` can point at it.
_NAMES = ("name", "mount", "device", "id", "page_bytes", "uuid")
_NEEDS_DRIVER = (
    *(
        "uuid",
        "driver_version",
        "enabled",
        "ecc",
        "remapped",
        "uncorrectable",
        "profile",
        "virtualization",
        "slowdowns",
    ),
    *("fabric", "limit_watts", "default_limit_watts", "max_limit_watts"),
)


def read_nvidia(tree: Tree, xml: bytes | None) -> dict[str, Any]:
    """What nvidia-smi says: from `xml` where given, asked only on the running machine with the driver loaded."""
    nothing: dict[str, Any] = {"driver_version": None, "gpus": []}
    if xml is None and not (tree.live and tree.exists("/sys/module/nvidia")):
        return nothing
    # Compiled anew in each run of the module, so only where there is something to parse.
    from ansible_collections.mlops.onprem.plugins.module_utils.hardware import nvidia_smi

    try:
        return nvidia_smi.parse(nvidia_smi.ask() if xml is None else xml)
    except Broken as error:
        tree.note("accelerators.nvidia_smi", "nvidia-smi -q -x", str(error))
        return nothing


def read_rocm(tree: Tree, data: bytes | None) -> list[dict[str, Any]]:
    """What rocm-smi or amd-smi wrote into a file; the tools are not asked, since the kernel tells the same."""
    if data is None:
        return []
    from ansible_collections.mlops.onprem.plugins.module_utils.hardware import rocm_smi

    try:
        cards = rocm_smi.parse(data)
    except Broken as error:
        tree.note("accelerators.rocm_smi", "rocm-smi --json", str(error))
        return []
    version = rocm_smi.driver_version(data)
    return [{**card, "driver": "amdgpu", "driver_version": version} for card in cards]


def read_accelerators(
    tree: Tree, classes: dict[str, int], kfd_nodes: list[dict[str, Any]], xml: bytes | None, rocm: bytes | None
) -> list[dict[str, Any]]:
    """The `accelerators` facts, sorted by address."""
    records = accelerators.from_pci(tree, classes)
    nvidia = read_nvidia(tree, xml)
    for gpu in nvidia["gpus"]:
        gpu["driver"] = "nvidia"
        gpu["driver_version"] = nvidia["driver_version"]
    accelerators.merge(records, nvidia["gpus"], "10de")
    attached = nvidia.get("attached_gpus")
    if attached is not None and attached != len(nvidia["gpus"]):
        tree.note(
            "accelerators.nvidia_smi",
            "nvidia-smi -q -x",
            f"it says {attached} GPUs and describes {len(nvidia['gpus'])}",
        )
    amd = [card for card in kfd.cards(kfd_nodes) if card["pci_id"].startswith("1002")]
    accelerators.merge(records, amd, "1002")
    told = read_rocm(tree, rocm)
    accelerators.merge(records, told, "1002")
    finished = accelerators.finish(tree, records)
    return sorted(finished, key=lambda record: record["pci_address"] or "~")


def _named_by(fact: str) -> tuple[str, ...]:
    return ("pci_address",) if fact in ("accelerators", "fabric.xgmi") else _NAMES


def explain(tree: Tree, fact: str) -> dict[str, str]:
    """The `unreadable` entry of one None fact."""
    if fact in tree.notes:
        path, reason = tree.notes[fact]
        return {"fact": fact, "path": path, "reason": reason}
    subject, _dot, rest = fact.replace("[", ".").partition(".")
    last = fact.rsplit(".", 1)[-1]
    sources = SOURCES.get(subject, {})
    path = sources.get(last) or sources.get("*") or sources.get(rest.partition("[")[0].partition(".")[0], "")
    if last == "numa_node":
        return {"fact": fact, "path": path, "reason": "the kernel does not say which node it belongs to"}
    if subject == "accelerators":
        general = tree.notes.get("accelerators.nvidia_smi")
        if last == "xid":
            return {"fact": fact, "path": "/dev/kmsg", "reason": "the kernel's log is not read"}
        if last == "memory_bracket_bytes":
            return {"fact": fact, "path": path, "reason": "only given where nothing tells the memory itself"}
        if last in _NEEDS_DRIVER and general:
            return {"fact": fact, "path": general[0], "reason": general[1]}
        if last in _NEEDS_DRIVER:
            return {"fact": fact, "path": path, "reason": "the driver that knows it is not loaded, or does not tell"}
    reason = tree.reason(path)
    if reason == "not there" and tree.exists(path):
        reason = "it does not tell"
    return {"fact": fact, "path": path, "reason": reason}


def gather(root: str = "/", nvidia_smi_xml: bytes | None = None, rocm_smi_json: bytes | None = None) -> dict[str, Any]:
    """All facts of the machine whose files are below `root`. Never raises for what is on the disk.

    `nvidia_smi_xml`, `rocm_smi_json`: what those tools wrote, in place of asking them.
    """
    tree = Tree(root)
    classes = pci.classes(tree)
    kfd_nodes = kfd.read(tree)
    cards = read_accelerators(tree, classes, kfd_nodes, nvidia_smi_xml, rocm_smi_json)
    coherent = any(card["pci_id"] in accelerator_table.COHERENT for card in cards) or "accelerators" in tree.incomplete
    nodes = numa.read(tree, coherent)
    table = mounts.read(tree)
    processors, host_memory = cpu.read(tree), memory.read(tree, nodes)
    facts: dict[str, Any] = {
        "system": system.read(tree),
        "cpu": processors,
        "memory": host_memory,
        "numa": nodes,
        "accelerators": cards,
        "fabric": fabric.read(tree, classes, cards, kfd_nodes),
        "network": network.read(tree),
        "disks": disks.read(tree, table),
        "raid": raid.read(tree),
        "filesystems": filesystems.read(tree, table),
        "drivers": drivers.read(tree),
        "limits": limits.read(tree, table, host_memory["total_bytes"], processors["threads"]),
    }
    for records in (cards, facts["fabric"]["infiniband"], facts["network"], facts["disks"]):
        numa.settle(nodes, records)
    unreadable = [explain(tree, fact) for fact in missing(facts, "", _named_by)]
    covered = {entry["fact"] for entry in unreadable}
    for fact, (path, reason) in tree.notes.items():
        # A note without a None of its own still says that something could not be read.
        if fact not in covered and fact.endswith(("_smi",)):
            unreadable.append({"fact": fact, "path": path, "reason": reason})
    unreadable += [{"fact": fact, "path": path, "reason": reason} for fact, (path, reason) in tree.incomplete.items()]
    facts["unreadable"] = unreadable
    return {"schema": SCHEMA, **facts}
