# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proof leaves on the host: the facts for others, and the note of what was drained."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware import accelerator_table
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

SCHEMA = 1
FACTS = "/etc/ansible/facts.d/mlops_gpu.fact"
DRAINED = "/var/lib/mlops-onprem/gpu/drained.json"


def read(tree: Tree, path: str) -> dict[str, Any] | None:
    """A JSON file that holds a dictionary; None for anything else."""
    try:
        found = json.loads(tree.text(path, 1024 * 1024) or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def drained(tree: Tree, path: str) -> list[str]:
    """The names of the hooks by which this host was drained and not yet handed back."""
    names = (read(tree, path) or {}).get("hooks")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def branch(version: str | None) -> int | None:
    """`580.178.04` as 580."""
    match = re.match(r"([0-9]{3,4})\.", version or "")
    return int(match.group(1)) if match else None


def facts(
    vendor: str, driver: dict[str, str | None], cards: list[dict[str, Any]], told: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """The content of the fact file: nothing in it changes from run to run on a host that does not."""
    gpus = []
    for address in sorted(told):
        gpu = told[address]
        before = next((card for card in cards if card["pci_address"] == address), {})
        memory = gpu.get("memory_bytes")
        mig = gpu.get("mig") or {}
        known = accelerator_table.MODELS.get(gpu.get("pci_id") or "")
        gpus.append(
            {
                "pci_address": address,
                "pci_id": gpu.get("pci_id"),
                "uuid": gpu.get("uuid"),
                "name": gpu.get("name") or before.get("name"),
                "architecture": gpu.get("architecture") or before.get("architecture"),
                "memory_bytes": memory,
                "memory_class_gb": accelerator_table.memory_class(memory, known.memory_class_gb if known else None)
                if memory
                else None,
                "numa_node": before.get("numa_node"),
                "mig_enabled": bool(mig.get("enabled")),
                "mig_instances": mig.get("instances") or [],
            }
        )
    return {
        "schema": SCHEMA,
        "vendor": vendor,
        "driver_version": driver.get("version"),
        "branch": branch(driver.get("version")) if vendor == "nvidia" else None,
        "flavour": driver.get("flavour"),
        "cuda_version": driver.get("cuda_version"),
        "gpu_count": len(gpus),
        "gpus": gpus,
    }
