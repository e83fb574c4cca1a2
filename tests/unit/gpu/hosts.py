"""Facts of hosts, as small as the selection needs them."""

from __future__ import annotations

from itertools import product
from typing import Any

from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_packages import packages
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.branches import BRANCHES

# A card of each generation.
CARDS = {
    "Maxwell": "10de:17fd",
    "Pascal": "10de:15f8",
    "Volta": "10de:1db4",
    "Turing": "10de:1eb8",
    "Ampere": "10de:20b5",
    "Ada Lovelace": "10de:26b9",
    "Hopper": "10de:2331",
    "Grace Hopper": "10de:2342",
    "Blackwell": "10de:2bb5",
    "Blackwell Ultra": "10de:31c2",
}
# id, version, kernel release
SYSTEMS = {
    "debian12": ("debian", "12", "6.1.0-40-amd64"),
    "debian13": ("debian", "13", "6.12.57+deb13-amd64"),
    "ubuntu22": ("ubuntu", "22.04", "5.15.0-160-generic"),
    "ubuntu24": ("ubuntu", "24.04", "6.8.0-88-generic"),
    "rhel9": ("rhel", "9.6", "5.14.0-570.12.1.el9_6.x86_64"),
    "rocky9": ("rocky", "9.6", "5.14.0-570.12.1.el9_6.x86_64"),
    "rhel10": ("rhel", "10.1", "6.12.0-124.el10.x86_64"),
}
AMD = {"Instinct MI210": "1002:740f", "Instinct MI300X": "1002:74a1", "Instinct MI350X": "1002:75a0"}
ARCHITECTURES = {"1002:740f": "CDNA 2", "1002:74a1": "CDNA 3", "1002:75a0": "CDNA 4", "1002:738c": "CDNA"}
MIRROR = "https://mirror.example/pkgs"


def card(pci_id: str, number: int = 0, **more: Any) -> dict[str, Any]:
    vendor = {"10de": "nvidia", "1002": "amd", "8086": "intel"}[pci_id[:4]]
    address = f"0000:{number + 1:02x}:00.0"
    known = {"pci_id": pci_id, "pci_address": address, "vendor": vendor, "architecture": ARCHITECTURES.get(pci_id)}
    return {**known, "name": None, "driver": None, **more}


def facts(
    name: str,
    *cards: str,
    machine: str = "x86_64",
    switches: int = 0,
    system: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Facts of a host with these cards, by PCI id or by generation; `system` changes those of the operating system."""
    identity, version, kernel = SYSTEMS[name]
    return {
        "system": {
            "architecture": machine,
            "kernel": kernel,
            "container": "none",
            "os": {"id": identity, "version_id": version},
            **(system or {}),
        },
        "accelerators": [card(CARDS.get(one, one), number) for number, one in enumerate(cards)],
        "fabric": {"nvswitches": switches},
        "drivers": [],
        **more,
    }


def choose(host: dict[str, Any], **options: Any) -> dict[str, Any]:
    return packages(host, options)


def every_nvidia() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """All combinations of system, source, branch, flavour, profile, machine and generation: options, and what comes."""
    found = []
    for system, source, branch, flavour, profile, generation in product(
        SYSTEMS, ("distribution", "vendor", "mirror"), ("auto", *BRANCHES), ("auto", "open", "proprietary"),
        ("compute", "full"), CARDS,
    ):  # fmt: skip
        machine = "aarch64" if generation == "Grace Hopper" else "x86_64"
        options = {"source": source, "branch": branch, "flavour": flavour, "profile": profile}
        if source == "mirror":
            options["mirror_url"] = MIRROR
        result = choose(facts(system, generation, machine=machine), **options)
        found.append(({**options, "system": system, "generation": generation, "machine": machine}, result))
    return found
