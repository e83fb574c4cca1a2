"""A small machine and the requirements that the role ships."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
GIB = 2**30


@functools.cache
def _read() -> list[dict]:
    found: list[dict] = []
    for path in sorted((ROOT / "roles/preflight/vars/main").glob("*.yml")):
        if path.name != "main.yml":
            found += next(iter(yaml.safe_load(path.read_text()).values()))
    return found


def shipped() -> list[dict]:
    return copy.deepcopy(_read())


PROFILES = sorted({profile for data in shipped() for profile in data["profiles"]})


def machine() -> dict:
    return {
        "system": {
            "architecture": "x86_64",
            "product": "PowerEdge",
            "virtualization": "none",
            "firmware": "uefi",
            "secure_boot": False,
        },
        "cpu": {"threads": 64, "cores": 32, "sockets": 2, "ml_flags": ["avx2", "avx512f"]},
        "memory": {"total_bytes": 502 * GIB, "installed_bytes": 512 * GIB, "dimm_slots": 16, "dimms_populated": 16},
        "numa": [],
        "accelerators": [
            {"vendor": "nvidia", "memory_bytes": 81559 * 2**20, "link": {"width": 16, "max_width": 16}},
            {"vendor": "nvidia", "memory_bytes": 81559 * 2**20, "link": {"width": 16, "max_width": 16}},
        ],
        "network": [{"name": "ens1", "speed_mbps": 100000}],
        "disks": [{"name": "nvme0n1", "size_bytes": 3840755982336, "in_use": []}],
        "filesystems": [
            {"mount": "/", "available_bytes": 50 * GIB, "type": "ext4"},
            {"mount": "/var/lib", "available_bytes": 400 * GIB, "type": "xfs"},
            {"mount": "/srv", "available_bytes": 2000 * 10**9, "type": "xfs"},
        ],
        "unreadable": [],
    }


def requirement(**changes) -> dict:
    return {
        "id": "site.memory",
        "profiles": ["base"],
        "fact": "memory.total_bytes",
        "operator": ">=",
        "value": 4,
        "unit": "GiB",
        **changes,
    }
