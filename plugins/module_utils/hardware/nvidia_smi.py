# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`nvidia-smi -q -x`: asking it, and reading what it wrote.

The XML differs between driver versions (DTD v10 to v13): a value may be missing, `N/A`, `[N/A]` or a sentence, and is
then None. The file may come from anywhere: it is read by expat without a document tree, no entity is ever expanded, and
size and depth are limited.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Broken

XML_LIMIT_BYTES = 32 * MIB
MAX_DEPTH = 32
MAX_ELEMENTS = 500000
MAX_TEXT = 4096
TIMEOUT_SECONDS = 20
PROGRAMS = ("/usr/bin/nvidia-smi", "/usr/local/bin/nvidia-smi", "/bin/nvidia-smi", "/opt/bin/nvidia-smi")

_UNITS = {"B": 1, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3, "KB": 1024, "MB": 1024**2, "GB": 1024**3}

# What the board itself does when it runs too hot or gets too little power. Software's own caps, by setting or when idle,
# are no fault.
_SLOWDOWNS = ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown")


class Element:
    """One XML element: tag, attributes, text, children."""

    __slots__ = ("attributes", "children", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.text = ""
        self.children: list[Element] = []

    def all(self, tag: str) -> list[Element]:
        """The children with this tag."""
        return [child for child in self.children if child.tag == tag]

    def value(self, *paths: str) -> str | None:
        """The text at the first of `paths` (`a/b/c`) that has a value; None for all the ways to say "none"."""
        for path in paths:
            element: Element | None = self
            for tag in path.split("/"):
                found = element.all(tag) if element else []
                element = found[0] if found else None
            text = element.text.strip() if element else ""
            if text and not re.match(r"\[|N/A|Not Supported|Unknown|Requested functionality|ERR!|None$", text):
                return text
        return None


def parse_xml(data: bytes) -> Element:
    """The document's root element. Broken when it is not well formed, too large, or declares entities."""
    from xml.parsers import expat

    if len(data) >= XML_LIMIT_BYTES:
        raise Broken(f"larger than {XML_LIMIT_BYTES // MIB} MiB")
    parser = expat.ParserCreate()
    parser.buffer_text = True
    root = Element("", {})
    stack = [root]
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > MAX_DEPTH or count > MAX_ELEMENTS:
            raise Broken("nested too deeply or too long")
        element = Element(tag, attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        if len(stack[-1].text) < MAX_TEXT:
            stack[-1].text += data[:MAX_TEXT]

    def entity(*_arguments: Any) -> None:
        raise Broken("declares an entity")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Broken(f"not well-formed XML: {error}") from error
    if len(root.children) != 1:
        raise Broken("has no root element")
    return root.children[0]


def size_bytes(text: str | None) -> int | None:
    """`81559 MiB` as bytes; 0 is None, since no GPU has no memory."""
    match = re.fullmatch(r"([0-9]{1,12}) ?([KMG]?i?B)", text or "", re.I)
    if not match:
        return None
    return int(match.group(1)) * _UNITS[match.group(2).upper()] or None


def number(text: str | None) -> int | None:
    """The whole number that a text starts with (`16x`, `4`)."""
    match = re.match(r"([0-9]{1,12})(?![0-9.])", text or "")
    return int(match.group(1)) if match else None


def pci_address(text: str | None) -> str | None:
    """`00000000:0B:00.0` in sysfs's notation: `0000:0b:00.0`."""
    match = re.fullmatch(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})\.([0-7])", text or "")
    if not match:
        return None
    domain, bus, device, function = match.groups()
    return f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(device, 16):02x}.{function}"


def pci_identity(text: str | None) -> str | None:
    """`0x233010DE` (device, then vendor) as `10de:2330`; None when its vendor is not NVIDIA (cut out by hand)."""
    match = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{4})10DE", text or "", re.I)
    return f"10de:{match.group(1).lower()}" if match else None


def yes(text: str | None, true: str, false: str) -> bool | None:
    """A two-valued word; None for any other."""
    return {true: True, false: False}.get(text or "")


def parse_gpu(gpu: Element) -> dict[str, Any]:
    """One `gpu` element as part of an accelerator record (sizes in bytes)."""
    link = "pci/pci_gpu_link_info/"
    mig_enabled = yes(gpu.value("mig_mode/current_mig"), "Enabled", "Disabled")
    instances = [
        {
            "profile": device.value("profile", "device_name"),
            "memory_bytes": size_bytes(device.value("fb_memory_usage/total")),
            "uuid": device.value("uuid"),
        }
        for group in gpu.all("mig_devices")
        for device in group.all("mig_device")
    ]
    return {
        "pci_address": pci_address(gpu.attributes.get("id")) or pci_address(gpu.value("pci/pci_bus_id")),
        "pci_id": pci_identity(gpu.value("pci/pci_device_id")),
        "name": gpu.value("product_name"),
        "architecture": gpu.value("product_architecture"),
        "memory_bytes": size_bytes(gpu.value("fb_memory_usage/total")),
        "uuid": gpu.value("uuid"),
        "link": {
            "generation": number(gpu.value(link + "pcie_gen/current_link_gen")),
            "max_generation": number(gpu.value(link + "pcie_gen/max_link_gen")),
            "width": number(gpu.value(link + "link_widths/current_link_width")),
            "max_width": number(gpu.value(link + "link_widths/max_link_width")),
        },
        # Boards without MIG leave the mode out or say N/A.
        "mig": {"enabled": bool(mig_enabled), "instances": instances},
        "virtualization": virtualization(gpu),
        "power": power(gpu),
        "health": {
            "ecc": ecc(gpu),
            "xid": None,
            "remapped": remapped(gpu),
            "slowdowns": slowdowns(gpu),
            "fabric": fabric(gpu),
        },
    }


def watts(text: str | None) -> float | None:
    """`700.00 W` as 700.0."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) W", text or "")
    return float(match.group(1)) if match else None


def power(gpu: Element) -> dict[str, float | None]:
    """Power limits in watts: set now, as delivered, and the highest that can be set. DTD v12 renamed the group."""
    groups = ("gpu_power_readings/", "power_readings/")
    now = [group + name for group in groups for name in ("current_power_limit", "power_limit", "enforced_power_limit")]
    return {
        "limit_watts": watts(gpu.value(*now)),
        "default_limit_watts": watts(gpu.value(*(group + "default_power_limit" for group in groups))),
        "max_limit_watts": watts(gpu.value(*(group + "max_power_limit" for group in groups))),
    }


def virtualization(gpu: Element) -> str | None:
    """The driver's word in small letters: `none`, `pass-through` (seen from the guest), `vgpu`, `host vgpu`, ..."""
    for group in gpu.all("gpu_virtualization_mode"):
        for mode in group.all("virtualization_mode"):
            # Here the word None is a value.
            word = mode.text.strip().lower()
            return word if re.fullmatch(r"[a-z][a-z -]{1,31}", word) else None
    return None


def slowdowns(gpu: Element) -> list[str] | None:
    """The names out of _SLOWDOWNS that are active; None on boards and drivers that tell of none. DTD v12 renamed it."""
    found = []
    told = False
    for name in _SLOWDOWNS:
        word = gpu.value(
            f"clocks_event_reasons/clocks_event_reason_{name}", f"clocks_throttle_reasons/clocks_throttle_reason_{name}"
        )
        told = told or word in ("Active", "Not Active")
        if word == "Active":
            found.append(name)
    return found if told else None


def fabric(gpu: Element) -> str | None:
    """Where the card stands in the NVSwitch fabric: `completed` when Fabric Manager took it in; None without a fabric."""
    word = gpu.value("fabric/state")
    return word.lower() if word and re.fullmatch(r"[A-Za-z ]{2,32}", word) else None


def ecc(gpu: Element) -> dict[str, Any] | None:
    """Whether ECC is on, and the uncorrectable errors since the board was made; None on boards without ECC."""
    enabled = yes(gpu.value("ecc_mode/current_ecc"), "Enabled", "Disabled")
    if enabled is None:
        return None
    aggregate = "ecc_errors/aggregate/"
    counts = [
        number(gpu.value(aggregate + name))
        for name in (
            "dram_uncorrectable",
            "sram_uncorrectable",
            "sram_uncorrectable_parity",
            "sram_uncorrectable_secded",
            "double_bit/total",
        )
    ]
    known = [count for count in counts if count is not None]
    return {"enabled": enabled, "uncorrectable": sum(known) if known else None}


def remapped(gpu: Element) -> dict[str, Any] | None:
    """Memory rows replaced by spare ones (Ampere and newer); None where the board has no such rows."""
    counts = {
        "correctable": number(gpu.value("remapped_rows/remapped_row_corr")),
        "uncorrectable": number(gpu.value("remapped_rows/remapped_row_unc")),
        "pending": yes(gpu.value("remapped_rows/remapped_row_pending"), "Yes", "No"),
        "failure": yes(gpu.value("remapped_rows/remapped_row_failure"), "Yes", "No"),
    }
    return counts if any(value is not None for value in counts.values()) else None


def parse(data: bytes) -> dict[str, Any]:
    """driver_version and gpus (a list of `parse_gpu`). Broken when it is not nvidia-smi's XML."""
    root = parse_xml(data)
    if root.tag != "nvidia_smi_log":
        raise Broken(f"its root element is {root.tag[:40]}, not nvidia_smi_log")
    return {
        "driver_version": root.value("driver_version"),
        "attached_gpus": number(root.value("attached_gpus")),
        "gpus": [parse_gpu(gpu) for gpu in root.all("gpu")],
    }


def ask(timeout: int = TIMEOUT_SECONDS, arguments: tuple[str, ...] = ("-q", "-x")) -> bytes:
    """What this machine's nvidia-smi says: by default all, as XML. Broken when there is none, it fails, or a hung driver holds it."""
    program = next((path for path in PROGRAMS if os.access(path, os.X_OK)), None)
    if program is None:
        raise Broken("nvidia-smi is not installed")
    try:
        process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except OSError as error:
        raise Broken(f"nvidia-smi does not start: {error.strerror}") from error
    try:
        output, _nothing = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        # Not waited for: a process stuck in the driver does not even die at once.
        process.kill()
        raise Broken(f"nvidia-smi gave no answer in {timeout} seconds") from error
    if process.returncode != 0:
        raise Broken(f"nvidia-smi failed with {process.returncode}: {output[:200].decode('utf-8', 'replace').strip()}")
    return output
