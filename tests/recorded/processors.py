"""Writes CPU topology and NUMA nodes as the kernel shows them."""

from __future__ import annotations

from pathlib import Path


def write(root: Path, path: str, text: object) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"{text}\n")


def write_cpus(root: Path, packages: list[tuple[int, int]]) -> None:
    """`packages`: cores and threads per core of each; CPUs are numbered one core after the other."""
    cpu = 0
    for package, (cores, threads) in enumerate(packages):
        for _core in range(cores):
            siblings = f"{cpu}-{cpu + threads - 1}"
            for number in range(cpu, cpu + threads):
                place = f"sys/devices/system/cpu/cpu{number}/topology"
                write(root, f"{place}/physical_package_id", package)
                write(root, f"{place}/core_cpus_list", siblings)
            cpu += threads
    for name in ("online", "present"):
        write(root, f"sys/devices/system/cpu/{name}", f"0-{cpu - 1}")
