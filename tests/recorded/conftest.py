"""Real machines recorded by others, kept beside the repository; absent, these tests are skipped."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.facts import gather

from .place import PLACE

# Thousands of files that nothing reads; leaving them out halves the time.
UNREAD = (
    *("cache", "power", "thermal_throttle", "microcode", "cpufreq", "cpuidle", "cpuid", "firmware_node"),
    *("cpuset", "device-tree", "acpi_cppc", "regs", "memory[0-9]*", "statistics", "queues", "msi_irqs"),
    *("memory_side_cache", "access[0-9]*", "die_*", "cluster_*", "local_cpu*"),
    *("subsystem*", "irq", "enable", "msi_bus", "rescan", "remove", "broken_parity_status", "hotplug"),
)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded machines."""
    if not PLACE.is_dir():
        pytest.skip(f"no recorded hardware at {PLACE}; set MLOPS_RECORDED_HARDWARE to run these tests")
    return PLACE


@pytest.fixture(scope="session")
def unpacked(recorded: Path, tmp_path_factory: pytest.TempPathFactory):
    """A function that unpacks an hwloc archive once and gives the root directory of its machine."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            target = tmp_path_factory.mktemp("machine")
            # Python's own tarfile takes ten times as long for 100,000 small files.
            leave = [f"--exclude={pattern}" for pattern in UNREAD]
            archive = recorded / "hwloc" / f"{name}.tar.bz2"
            subprocess.run(["tar", "-xjf", archive, "-C", target, "-m", "--no-same-owner", *leave], check=True)
            done[name] = next(target.glob("**/proc")).parent
        return done[name]

    return unpack


@pytest.fixture(scope="session")
def facts_of(unpacked):
    """A function that gives the facts of an hwloc archive's machine, gathered once."""
    done: dict[str, dict] = {}

    def facts(name: str) -> dict:
        if name not in done:
            done[name] = gather(str(unpacked(name)))
        return done[name]

    return facts
