"""Writes PCI functions as the kernel shows them: each below its bridge, and a link from the bus to each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Function:
    """One PCI function: its address, that of the bridge above it (empty at the root), its files, and its driver."""

    address: str
    above: str = ""
    files: dict[str, str] = field(default_factory=dict)
    driver: str = ""


def identity(code: int, vendor: int, device: int) -> dict[str, str]:
    """The files that say what a function is."""
    return {"class": f"0x{code:06x}", "vendor": f"0x{vendor:04x}", "device": f"0x{device:04x}"}


def link(prefix: str, speed: str, width: int | str) -> dict[str, str]:
    """The files of the `current` or `max` link."""
    return {f"{prefix}_link_speed": f"{speed} GT/s PCIe", f"{prefix}_link_width": str(width)}


def write_functions(functions: list[Function], root: Path) -> None:
    """Write `functions` below `root`/sys."""
    by_address = {function.address: function for function in functions}
    bus = root / "sys/bus/pci/devices"
    bus.mkdir(parents=True)
    # Some records name a function twice.
    for function in by_address.values():
        parts = [function.address]
        above = by_address.get(function.above)
        while above is not None and len(parts) < 16:
            parts.append(above.address)
            above = by_address.get(above.above)
        domain = parts[-1].rsplit(":", 1)[0]
        place = "/".join([f"devices/pci{domain}", *reversed(parts)])
        (root / "sys" / place).mkdir(parents=True, exist_ok=True)
        for name, content in function.files.items():
            (root / "sys" / place / name).write_text(content + "\n")
        if function.driver:
            (root / "sys" / place / "driver").symlink_to(f"/sys/bus/pci/drivers/{function.driver}")
        (bus / function.address).symlink_to(f"../../../{place}")
