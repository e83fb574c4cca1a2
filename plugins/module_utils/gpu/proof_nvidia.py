# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nvidia-smi says of the cards, asked in a way that a lost card does not hide the others."""

from __future__ import annotations

import re
from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, UNKNOWN, WARN, row
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import nvidia_smi
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken

# Asks nvidia-smi with arguments; Broken where it does not answer.
Ask = Callable[[tuple[str, ...]], bytes]

_WHY = (
    (
        r"version mismatch",
        "The loaded kernel module and the libraries are of different versions: reboot the host, then run this again",
    ),
    (
        r"couldn't communicate|No devices were found|not supported by",
        "No kernel module serves the GPUs: `modinfo nvidia` shows version, licence and key, `modprobe nvidia` and `dmesg | "
        "grep -i nvrm` why it does not load. With Secure Boot its key has to be enrolled",
    ),
    (r"not installed", "Install the driver's tools (nvidia-smi), then run this again"),
    (r"gave no answer", "The driver hangs: look at `dmesg | grep -i nvrm`, then reboot the host and run this again"),
)
_WORDS = {
    "NS": "not supported",
    "CNS": "not supported by the chipset",
    "GNS": "not supported by the GPU",
    "TNS": "not supported between their slots",
    "DR": "disabled by a setting of the driver",
    "U": "unknown",
}
_BAD_ACTIONS = re.compile(r"reset|reboot|drain", re.I)


def remedy(reason: str) -> str:
    """What mends the reason for which nvidia-smi gave no answer."""
    general = "Look at `dmesg | grep -i nvrm` and `nvidia-smi` on the host, then run this again"
    return next((text for pattern, text in _WHY if re.search(pattern, reason)), general)


def _uncorrectable(gpu: nvidia_smi.Element, since: str) -> int | None:
    names = ("dram_uncorrectable", "sram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded")
    paths = [f"ecc_errors/{since}/{name}" for name in (*names, "double_bit/total")]
    counts = [nvidia_smi.number(gpu.value(path)) for path in paths]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def parse_gpu(gpu: nvidia_smi.Element) -> dict[str, Any]:
    """An accelerator record, and with it what only a proof asks for."""
    record = nvidia_smi.parse_gpu(gpu)
    record["volatile_uncorrectable"] = _uncorrectable(gpu, "volatile")
    pending = [gpu.value("retired_pages/pending_retirement"), gpu.value("retired_pages/pending_blacklist")]
    record["retirement_pending"] = "Yes" in pending
    record["ecc_pending"] = gpu.value("ecc_mode/pending_ecc") not in (None, gpu.value("ecc_mode/current_ecc"))
    record["recovery_action"] = gpu.value("gpu_recovery_action")
    return record


def parse(data: bytes) -> dict[str, Any]:
    """driver_version, cuda_version and gpus by PCI address. Broken when it is not nvidia-smi's XML."""
    root = nvidia_smi.parse_xml(data)
    if root.tag != "nvidia_smi_log":
        raise Broken(f"its root element is {root.tag[:40]}, not nvidia_smi_log")
    gpus = [parse_gpu(gpu) for gpu in root.all("gpu")]
    return {
        "driver_version": root.value("driver_version"),
        "cuda_version": root.value("cuda_version"),
        "gpus": {gpu["pci_address"]: gpu for gpu in gpus if gpu["pci_address"]},
    }


def look(ask: Ask, addresses: list[str]) -> dict[str, Any]:
    """What `parse` gives, and `problem`: why nothing answers, or None.

    One lost card can make nvidia-smi fail as a whole. Then each card is asked for by itself, and the others are found.
    """
    nothing: dict[str, Any] = {"driver_version": None, "cuda_version": None, "gpus": {}, "problem": None}
    try:
        return {**parse(ask(("-q", "-x"))), "problem": None}
    except Broken as error:
        nothing["problem"] = str(error)
    if re.search(r"not installed|gave no answer|version mismatch|couldn't communicate", nothing["problem"]):
        return nothing
    found = nothing
    for address in addresses:
        try:
            one = parse(ask(("-q", "-x", "-i", address)))
        except Broken:
            continue
        found = {**one, "problem": None, "gpus": {**found["gpus"], **one["gpus"]}}
    return found


def ecc(gpu: dict[str, Any]) -> dict[str, Any]:
    """Errors of the memory: those since the driver was loaded are a fault, older ones a warning."""
    address, health = gpu["pci_address"], gpu["health"]
    remapped = health["remapped"] or {}
    replace = "The memory has no spare rows left: have the card replaced"
    reset = "Reboot the host (or reset the card with `nvidia-smi -r -i ADDRESS`), then run this again"
    if remapped.get("failure"):
        return row("ecc", FAIL, "a broken row of memory could not be replaced", remedy=replace, gpu=address)
    if remapped.get("pending") or gpu.get("retirement_pending"):
        return row("ecc", FAIL, "broken memory waits for a reset to be replaced", remedy=reset, gpu=address)
    now = gpu.get("volatile_uncorrectable")
    if now:
        found = f"{now} uncorrectable memory errors since the driver was loaded"
        return row("ecc", FAIL, found, "0", f"{reset}. Where they come back, have the card replaced", address)
    if health["ecc"] is None:
        return row("ecc", SKIPPED, "the card has no ECC", gpu=address)
    if not health["ecc"]["enabled"]:
        on = "`nvidia-smi -e 1` and a reboot switch it on"
        return row("ecc", WARN, "ECC is off", remedy=on, gpu=address)
    if gpu.get("ecc_pending"):
        return row("ecc", WARN, "the ECC mode changes with the next reset", gpu=address)
    if now is None:
        return row("ecc", UNKNOWN, "the card does not tell its memory errors", gpu=address)
    if health["ecc"]["uncorrectable"]:
        found = f"{health['ecc']['uncorrectable']} uncorrectable memory errors in its life, none since the driver was loaded"
        return row("ecc", WARN, found, gpu=address)
    return row("ecc", PASS, "no uncorrectable memory errors", gpu=address)


def state(gpu: dict[str, Any]) -> list[dict[str, Any]]:
    """What the driver itself says of the card's condition: the recovery that it asks for, slowdowns, the fabric."""
    address, health = gpu["pci_address"], gpu["health"]
    rows = []
    if _BAD_ACTIONS.search(gpu.get("recovery_action") or ""):
        found = f"the driver asks for: {gpu['recovery_action']}"
        rows.append(row("state", FAIL, found, remedy="Reboot the host, then run this again", gpu=address))
    if health["slowdowns"]:
        found = f"slowed down by the board: {', '.join(health['slowdowns'])}"
        rows.append(row("state", WARN, found, remedy="Check cooling and power of the server", gpu=address))
    if health["fabric"] not in (None, "completed"):
        fabric = (
            "Look at `systemctl status nvidia-fabricmanager`: its version has to be the driver's. Then run this again"
        )
        rows.append(row("fabric", FAIL, f"the NVSwitch fabric is {health['fabric']}", "completed", fabric, gpu=address))
    return rows or [row("state", PASS, "the driver has no complaint", gpu=address)]


def parse_p2p(text: str) -> list[list[str]]:
    """The matrix of `nvidia-smi topo -p2p r`, a list for each GPU in nvidia-smi's order; empty where there is none."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    found = [line.split()[1:] for line in plain.splitlines() if re.match(r"\s*GPU[0-9]+\s+[A-Z]+", line)]
    # The line of headings starts as the others do.
    rows = [words for words in found if not words[0].startswith("GPU")]
    return rows if all(len(words) >= len(rows) for words in rows) else []


def p2p(text: str, gpus: list[dict[str, Any]], fabric: bool) -> list[dict[str, Any]]:
    """Whether the cards reach each other's memory. Where an NVSwitch connects them, they must; elsewhere it depends."""
    matrix = parse_p2p(text)
    if len(matrix) != len(gpus):
        return [row("p2p", UNKNOWN, f"nvidia-smi tells of {len(matrix)} GPUs and not of {len(gpus)}")]
    closed: dict[str, list[str]] = {}
    for first, one in enumerate(gpus):
        for second in range(first + 1, len(gpus)):
            word = matrix[first][second]
            if word != "OK":
                closed.setdefault(word, []).append(f"{one['pci_address']}-{gpus[second]['pci_address']}")
    if not closed:
        return [row("p2p", PASS, f"all {len(gpus)} reach each other's memory")]
    told = "; ".join(f"{_WORDS.get(word, word)}: {', '.join(pairs)}" for word, pairs in closed.items())
    if fabric:
        mend = (
            "NVSwitches connect these GPUs: look at `systemctl status nvidia-fabricmanager` and `nvidia-smi nvlink -s`"
        )
        return [row("p2p", FAIL, told, "OK between all", mend)]
    return [row("p2p", WARN, f"not directly reachable, through the host's memory: {told}")]
