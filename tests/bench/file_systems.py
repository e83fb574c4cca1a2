"""What the options cost or bring that the storage role makes and mounts file systems with, against plain mkfs and mount.

    file_systems.py        (prints the rows alone; run.py writes them into docs/performance.md)

Both are made in turns on one loop device over one file of this computer's disk, since an array or a group of volumes needs a
kernel with these. Needs root and fio. A job moves the same bytes each time; the fastest round of each counts, since what else
the computer does only ever slows a round.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_file_systems

ROUNDS = 7
DEVICE_BYTES = 4 * 2**30
# Never slower than 0.95 times the plain one: as the largest ratio of seconds.
BUDGET = 1 / 0.95
JOBS = {
    "sequential write, 1 MiB": ["--rw=write", "--bs=1M", "--size=2G", "--iodepth=8", "--direct=1", "--end_fsync=1"],
    "sequential read, 1 MiB": ["--rw=read", "--bs=1M", "--size=2G", "--iodepth=8", "--direct=1"],
    "random read, 4 KiB": ["--rw=randread", "--bs=4k", "--size=512M", "--iodepth=32", "--direct=1"],
    "8,000 new files of 16 KiB": [
        "--rw=write", "--bs=16k", "--size=128M", "--nrfiles=8000", "--filesize=16k", "--create_on_open=1", "--end_fsync=1",
    ],
}  # fmt: skip


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def seconds_of(job: list[str], folder: Path) -> float:
    """How long fio took, by its own clock, preparing the files not included."""
    out = run(
        "fio",
        "--name=bench",
        f"--directory={folder}",
        "--ioengine=libaio",
        "--output-format=json",
        "--randrepeat=1",
        *job,
    )
    result = json.loads(out[out.index("{") :])["jobs"][0]
    return max(result["read"]["runtime"], result["write"]["runtime"]) / 1000


def measure(device: str, folder: Path, filesystem: str, ours: bool) -> dict[str, float]:
    """Seconds of each job on a fresh file system."""
    made = plan_file_systems.MKFS[filesystem] if ours else []
    options = [
        option
        for option in (plan_file_systems.MOUNT[filesystem] if ours else [])
        if not option.startswith("x-systemd.") and option != "nofail"
    ]
    run(f"mkfs.{filesystem}", "-q", *({"xfs": ["-f"], "ext4": ["-F"]}[filesystem]), *made, device)
    run("mount", "-o", ",".join(options or ["defaults"]), device, folder)
    try:
        found = {}
        for name, job in JOBS.items():
            found[name] = seconds_of(job, folder)
            for path in folder.glob("bench*"):
                path.unlink()
        return found
    finally:
        run("umount", folder)


def rows() -> Iterator[tuple[str, str, float, str, float, str]]:
    """Of each row: what, against what, measured, unit, budget, detail."""
    with tempfile.TemporaryDirectory() as scratch:
        image, folder = Path(scratch) / "disk", Path(scratch) / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(DEVICE_BYTES)
        device = run("losetup", "--find", "--show", "--direct-io=on", image).strip()
        try:
            for filesystem in ("xfs", "ext4"):
                taken: dict[bool, list[dict[str, float]]] = {True: [], False: []}
                for number in range(ROUNDS):
                    # The order changes: what comes second may find the disk busier, or the file's blocks allocated.
                    for ours in (True, False) if number % 2 else (False, True):
                        taken[ours].append(measure(device, folder, filesystem, ours))
                for name in JOBS:
                    mine = min(found[name] for found in taken[True])
                    plain = min(found[name] for found in taken[False])
                    yield (
                        f"{filesystem} as the role makes and mounts it: {name}",
                        f"mkfs.{filesystem} and mount without options, same device",
                        mine / plain,
                        "x",
                        BUDGET,
                        f"{mine:.2f} s and {plain:.2f} s",
                    )
        finally:
            run("losetup", "--detach", device)


if __name__ == "__main__":
    for row in rows():
        print(row)
