"""What the options cost or bring that the storage role makes and mounts file systems with, against plain mkfs and mount.

    file_systems.py        (prints the rows alone; run.py writes them into docs/performance.md)

Both are made in turns on one loop device over one file in memory: it is as fast as the fastest disk, so that what the options
cost is not hidden behind one, and a shared disk's speed changes by more than the budget from minute to minute. Needs root, fio
and 5 GiB of memory. A job moves the same bytes each time. The median of the rounds' ratios counts: both of a round meet the
same computer.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.mlops.onprem.plugins.module_utils.storage import plan_file_systems

ROUNDS = 11
MEMORY = Path("/dev/shm")
DEVICE_BYTES = 4 * 2**30
# Never slower than 0.95 times the plain one: as the largest ratio of seconds.
BUDGET = 1 / 0.95
JOBS = {
    "sequential write, 1 MiB": ["--rw=write", "--bs=1M", "--size=2G", "--iodepth=8", "--direct=1", "--end_fsync=1"],
    "sequential read, 1 MiB": ["--rw=read", "--bs=1M", "--size=2G", "--iodepth=8", "--direct=1"],
    "random read, 4 KiB": ["--rw=randread", "--bs=4k", "--size=512M", "--iodepth=32", "--direct=1"],
    "8,000 new files of 16 KiB": [
        "--filename_format=small.$filenum", "--nrfiles=8000", "--filesize=16k", "--create_on_open=1",
        "--rw=write", "--bs=16k", "--size=128M", "--end_fsync=1",
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


def wait_until_free(device: str) -> None:
    """The kernel lets go of a device shortly after umount came back."""
    for _attempt in range(100):
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"error: {device} is in use")


def measure(device: str, folder: Path, filesystem: str, ours: bool) -> dict[str, float]:
    """Seconds of each job on a fresh file system. What the first one wrote is what the next two read."""
    made = plan_file_systems.MKFS[filesystem] if ours else []
    options = [
        option
        for option in (plan_file_systems.MOUNT[filesystem] if ours else [])
        if not option.startswith("x-systemd.") and option != "nofail"
    ]
    wait_until_free(device)
    run(f"mkfs.{filesystem}", "-q", *({"xfs": ["-f"], "ext4": ["-F"]}[filesystem]), *made, device)
    run("mount", "-o", ",".join(options or ["defaults"]), device, folder)
    try:
        found = {}
        for name, job in JOBS.items():
            found[name] = seconds_of(job, folder)
        return found
    finally:
        run("umount", folder)


def rows() -> Iterator[tuple[str, str, float, str, float, str]]:
    """Of each row: what, against what, measured, unit, budget, detail."""
    if shutil.disk_usage(MEMORY).free < DEVICE_BYTES + 2**30:
        sys.exit(
            f"error: {MEMORY} has less than {DEVICE_BYTES // 2**30 + 1} GiB free, and the disk to measure on lies there"
        )
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        image, folder = Path(scratch) / "disk", Path(scratch) / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(DEVICE_BYTES)
        device = run("losetup", "--find", "--show", image).strip()
        try:
            for filesystem in ("xfs", "ext4"):
                taken: dict[bool, list[dict[str, float]]] = {True: [], False: []}
                for number in range(ROUNDS):
                    # The order changes: what comes second may find the disk busier, or the file's blocks allocated.
                    for ours in (True, False) if number % 2 else (False, True):
                        taken[ours].append(measure(device, folder, filesystem, ours))
                for name in JOBS:
                    mine = [found[name] for found in taken[True]]
                    plain = [found[name] for found in taken[False]]
                    yield (
                        f"{filesystem} as the role makes and mounts it: {name}",
                        f"mkfs.{filesystem} and mount without options, same device",
                        statistics.median(ours / theirs for ours, theirs in zip(mine, plain)),
                        "x",
                        BUDGET,
                        f"{statistics.median(mine):.2f} s and {statistics.median(plain):.2f} s",
                    )
        finally:
            run("losetup", "--detach", device)


if __name__ == "__main__":
    for row in rows():
        print(row)
