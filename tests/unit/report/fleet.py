"""A made-up fleet for the report: hosts of several kinds, each with its own gap."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
GIB = 2**30
MODEL = {"parameters": 8.03e9, "layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "vocabulary": 128256}
WORKLOADS = [
    {"name": "answers", "task": "serve", "model": MODEL, "concurrent_tokens": 131072},
    {
        "name": "tune",
        "task": "finetune",
        "method": "full",
        "precision": "bf16",
        "model": MODEL,
        "gpus": 16,
        "sharding": "zero3",
    },
]


def shipped() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((ROOT / "roles/preflight/vars/main").glob("*.yml")):
        if path.name != "main.yml":
            found += next(iter(yaml.safe_load(path.read_text()).values()))
    return found


def gpu_server(cards: int = 8, mib: int = 81559, dimms: int = 24) -> dict[str, Any]:
    card = {
        "vendor": "nvidia",
        "name": "H100 SXM5 80GB" if mib > 80000 else "T4",
        "pci_id": "10de:2330",
        "memory_bytes": mib * 2**20,
        "link": {"width": 16, "max_width": 16},
        "mig": {"enabled": False, "instances": []},
    }
    return {
        "schema": 1,
        "system": {"vendor": "Supermicro", "product": "SYS-421GE", "architecture": "x86_64", "virtualization": "none"},
        "cpu": {"model": "Intel(R) Xeon(R) Platinum 8480C", "sockets": 2, "cores": 112, "threads": 224},
        "memory": {"total_bytes": dimms * 32 * GIB, "dimm_slots": 32, "dimms_populated": dimms},
        "numa": [],
        "accelerators": [copy.deepcopy(card) for _unused in range(cards)],
        "network": [{"name": "ens1", "speed_mbps": 100_000}, {"name": "eno1", "speed_mbps": 1000}],
        "disks": [{"name": f"nvme{number}n1", "size_bytes": 3_840_755_982_336, "in_use": []} for number in range(4)],
        "filesystems": [{"mount": "/", "available_bytes": 400 * GIB, "size_bytes": 460 * GIB, "type": "ext4"}],
        "unreadable": [],
    }


def fleet() -> dict[str, dict[str, Any]]:
    gpu, small = ["base", "gpu_training"], ["base", "registry", "monitoring"]
    registry = {**gpu_server(0), "memory": {"total_bytes": 3 * GIB, "dimm_slots": 2, "dimms_populated": 1}}
    return {
        "gpu1": {"facts": gpu_server(), "profiles": gpu, "error": ""},
        "gpu2": {"facts": gpu_server(dimms=4), "profiles": gpu, "error": ""},
        "gpu3": {"facts": gpu_server(4, 15360), "profiles": gpu, "error": ""},
        "registry1": {"facts": registry, "profiles": small, "error": ""},
        "storage1": {"facts": {**gpu_server(0), "network": [{"speed_mbps": 1000}]}, "profiles": ["base", "storage"]},
        "lost1": {"facts": None, "profiles": ["base"], "error": "No route to host <script>alert(1)</script>"},
    }


def judged_by(**more: Any) -> dict[str, Any]:
    """The keywords of `assess`, with the shipped requirements and two workloads."""
    return {
        "shipped": shipped(),
        "own": [],
        "waived": [],
        "known_hosts": [],
        "level": "normal",
        "today": None,
        "workloads": WORKLOADS,
        "fleet_hosts": [],
        "fleet_requirements": [],
        **more,
    }
