# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rocm-smi --json` and `amd-smi static --json`, whose keys change from version to version."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.nvidia_smi import pci_address
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Broken

JSON_LIMIT_BYTES = 8 * MIB


def parse(data: bytes) -> list[dict[str, Any]]:
    """One partial accelerator record per card: pci_address, pci_id, name, memory_bytes, uuid; None where not said."""
    if len(data) >= JSON_LIMIT_BYTES:
        raise Broken(f"larger than {JSON_LIMIT_BYTES // MIB} MiB")
    try:
        document = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Broken("not JSON") from error
    if isinstance(document, dict) and isinstance(document.get("gpu_data"), list):
        document = document["gpu_data"]
    if isinstance(document, list):
        return [_amd_smi(card) for card in document if isinstance(card, dict)]
    if isinstance(document, dict):
        cards = [(key, card) for key, card in document.items() if re.fullmatch(r"card[0-9]{1,4}", key)]
        return [_rocm_smi(card) for _key, card in sorted(cards, key=_number) if isinstance(card, dict)]
    raise Broken("holds no cards")


def driver_version(data: bytes) -> str | None:
    """The amdgpu driver's version that rocm-smi prints beside the cards."""
    try:
        system = json.loads(data.decode("utf-8", "replace")).get("system", {})
        version = system.get("Driver version")
    except (ValueError, AttributeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def _number(item: tuple[str, Any]) -> int:
    return int(item[0][4:])


def _rocm_smi(card: dict[str, Any]) -> dict[str, Any]:
    values = {key.lower().rstrip(":"): value.strip() for key, value in card.items() if isinstance(value, str)}
    names = [values.get(key) for key in ("device name", "card series", "card model")]
    # Old versions print the device id, or the maker's, in place of a name.
    name = next((text for text in names if text and not re.match(r"0x|N/A|Advanced Micro", text)), None)
    memory = values.get("vram total memory (b)", "")
    return {
        "pci_address": pci_address(values.get("pci bus")),
        "pci_id": _identity(values.get("device id") or values.get("gpu id")),
        "name": name,
        "memory_bytes": int(memory) or None if re.fullmatch(r"[0-9]{1,18}", memory) else None,
        "uuid": _text(values.get("unique id")),
    }


def _amd_smi(card: dict[str, Any]) -> dict[str, Any]:
    asic, bus, vram = (_dict(card.get(key)) for key in ("asic", "bus", "vram"))
    size = _dict(vram.get("size"))
    value = size.get("value")
    memory = None
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**40 and size.get("unit") == "MB":
        # amd-smi says MB and counts 2^20.
        memory = value * MIB
    return {
        "pci_address": pci_address(_text(bus.get("bdf"))),
        "pci_id": _identity(_text(asic.get("device_id"))),
        "name": _text(asic.get("market_name")),
        "memory_bytes": memory,
        "uuid": _text(asic.get("asic_serial")),
    }


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value and value != "N/A" else None


def _identity(text: str | None) -> str | None:
    match = re.fullmatch(r"0x([0-9a-fA-F]{4})", text or "")
    return f"1002:{match.group(1).lower()}" if match else None
