"""Assess many synthetic hosts from snapshots: seconds and peak memory (KiB), printed as one JSON line.

assessment.py HOSTS FOLDER      (FOLDER is filled with snapshots and the report; the process measures itself)
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".build/collections"), str(ROOT / "tests/unit/report")]

from ansible_collections.mlops.onprem.plugins.module_utils.report.snapshots import Snapshots, save  # noqa: E402
from ansible_collections.mlops.onprem.plugins.module_utils.report.write import write  # noqa: E402
from fleet import gpu_server, judged_by  # noqa: E402


def host(number: int) -> dict[str, Any]:
    """One of four kinds of server; some are short of memory, some could not be read."""
    if number % 97 == 0:
        return {"facts": None, "profiles": ["base"], "error": "No route to host"}
    kinds = (gpu_server(), gpu_server(dimms=4), gpu_server(4, 15360), gpu_server(0))
    profiles = ["base", "gpu_training"] if number % 4 < 3 else ["base", "registry", "monitoring", "storage"]
    return {"facts": kinds[number % 4], "profiles": profiles, "error": ""}


def main(count: int, folder: Path) -> None:
    stored, report = folder / "snapshots", folder / "report"
    stored.mkdir()
    report.mkdir()
    for number in range(count):
        save(stored, f"host{number:05d}", host(number), "now")
    begin = time.perf_counter()
    result = write(report, Snapshots(stored), judged_by())
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = (report / "index.html").stat().st_size
    print(json.dumps({"seconds": seconds, "kib": peak, "rows": len(result["rows"]), "index_bytes": index}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
