"""GPUs as the host tells of them, and options of the plan."""

from __future__ import annotations

from typing import Any


def nvidia(index: int, **more: Any) -> dict[str, Any]:
    return {
        "vendor": "nvidia",
        "uuid": f"GPU-0000000{index}-aaaa-bbbb-cccc-000000000000",
        "pci_address": f"0000:{index + 16:02x}:00.0",
        "nodes": [f"/dev/nvidia{index}"],
        "mig": {"enabled": False, "instances": []},
        **more,
    }


def cut(index: int, parts: int) -> dict[str, Any]:
    """A GPU in MIG mode with `parts` instances."""
    instances = [
        {"uuid": f"MIG-{index}{part}", "profile": "1g.10gb", "memory_bytes": 10 * 2**30} for part in range(parts)
    ]
    return nvidia(index, mig={"enabled": True, "instances": instances})


def amd(index: int) -> dict[str, Any]:
    return {
        "vendor": "amd",
        "uuid": f"0x00000000000000A{index}",
        "pci_address": f"0000:{index + 64:02x}:00.0",
        "nodes": [f"/dev/dri/renderD{128 + index}"],
        "mig": {"enabled": False, "instances": []},
    }


def options(**more: Any) -> dict[str, Any]:
    return {
        "provider": "gitlab",
        "url": "https://git.example.com",
        "scope": "instance",
        "name": "node1",
        "slots": "per_gpu",
        "labels": [],
        "run_untagged": True,
        "executor": "docker",
        "gpu_access": "cdi",
        "api_token": "glpat-canary",
        "version": "19.3.0",
        "version_facts": {},
        "limits": {},
        "today": "2026-11-30",
        **more,
    }
