"""What hardware_facts costs: time here and on a large recorded PCI tree, and memory.

    facts.py        (prints the rows alone; run.py writes them into docs/performance.md)

The modules run through Ansible, as they do on a host, in turns. What is measured is the module's own process: how fast the
controller starts it is not the module's doing. The empty module `ping` is taken off both sides of a ratio.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(os.environ.get("MLOPS_RECORDED_HARDWARE") or ROOT.parent / "shared/recorded-hardware")
SERVER = RECORDED / "pci/gpud__lspci-vvv-8xH100-SXM"
ROUNDS = 7
# Stands in for the interpreter and notes what the module's process took: seconds, CPU seconds, largest resident set in KiB.
INTERPRETER = """#!{python}
import os, sys, time
begin = time.perf_counter()
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_process, status, usage = os.wait4(process, 0)
with open({log!r}, "a") as log:
    print(time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=log)
sys.exit(os.waitstatus_to_exitcode(status))
"""

# Runs one module on localhost with an interpreter: (module, arguments, python).
Adhoc = Callable[[str, str, str], None]


class Cost(NamedTuple):
    """Medians of a module's process."""

    seconds: float
    cpu_seconds: float
    peak_kib: float


def costs(adhoc: Adhoc, modules: dict[str, tuple[str, str]], folder: Path) -> dict[str, Cost]:
    """The cost of each (module, arguments) by its name, measured alternately."""
    log, program = folder / "costs", folder / "python"
    program.write_text(INTERPRETER.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    found: dict[str, list[list[float]]] = {name: [] for name in modules}
    for _round in range(ROUNDS):
        for name, (module, arguments) in modules.items():
            adhoc(module, arguments, str(program))
            found[name].append([float(word) for word in log.read_text().splitlines()[-1].split()])
    return {name: Cost(*map(statistics.median, zip(*samples))) for name, samples in found.items()}


def rows(adhoc: Adhoc) -> Iterator[tuple[str, str, float, str, float, str]]:
    """Of each row: what, against what, measured, unit, budget, detail. The recorded server only where it is there."""
    modules = {
        "ping": ("ansible.builtin.ping", ""),
        "setup": ("ansible.builtin.setup", "gather_subset=!all,!min,hardware"),
        "here": ("mlops.onprem.hardware_facts", ""),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        functions = 0
        if SERVER.is_file():
            sys.path.insert(0, str(ROOT / "tests"))
            from recorded.lspci import make_tree

            functions = make_tree(SERVER.read_text(errors="replace"), folder / "root")
            modules["server"] = ("mlops.onprem.hardware_facts", f"root={folder / 'root'}")
        else:
            print(f"note: no row for a large PCI tree: {SERVER} is not there", file=sys.stderr)
        found = costs(adhoc, modules, folder)
    setup = "setup, subset hardware"
    yield ("hardware_facts", setup, *ratio(found, "here", 0.5))
    if functions:
        what = f"hardware_facts on a recorded server with {functions} PCI functions"
        yield (what, f"{setup}, on this host", *ratio(found, "server", 2.0))
    largest = max((name for name in found if name in ("here", "server")), key=lambda name: found[name].peak_kib)
    peak = found[largest].peak_kib / 1024
    detail = (
        f"largest resident set; ping {found['ping'].peak_kib / 1024:.0f}, setup {found['setup'].peak_kib / 1024:.0f}"
    )
    yield ("memory of the hardware_facts process", "-", peak, "MiB", 40, detail)


def ratio(found: dict[str, Cost], name: str, budget: float) -> tuple[float, str, float, str]:
    """Measured, unit, budget and detail of one module against setup."""
    ours, theirs, empty = found[name], found["setup"], found["ping"]
    work, other = max(ours.seconds - empty.seconds, 0), max(theirs.seconds - empty.seconds, 1e-3)
    detail = (
        f"{ours.seconds:.2f} s and {theirs.seconds:.2f} s; ping, {empty.seconds:.2f} s, is taken off both; "
        f"CPU {ours.cpu_seconds:.2f}, {theirs.cpu_seconds:.2f} and {empty.cpu_seconds:.2f} s"
    )
    return work / other, "x", budget, detail


def main() -> None:
    from run import adhoc

    for row in rows(adhoc):
        print(row)


if __name__ == "__main__":
    main()
