"""Measure with fio how fast one directory reads and writes. Reads JSON, writes the result as JSON, and says on the way what it does.

{"path": ..., "mode": "quick" | "full"}. The file that is written is removed, also after a failure or a signal. Never more than 5 % of
the free space is taken, and direct I/O goes past the memory, which would be measured otherwise.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20
GIB = 2**30
# Bytes at most, and seconds for each of the three measurements.
LIMITS = {"quick": (GIB, 3), "full": (16 * GIB, 90)}
FREE_PART = 0.05
LEAST = 64 * MIB
# name -> what fio does. 32 requests at once: a disk for many readers shows nothing with one. 4 jobs: one core cannot ask fast enough.
KINDS = {
    "write": {"rw": "write", "bs": "1M", "iodepth": 32, "numjobs": 1},
    "read": {"rw": "read", "bs": "1M", "iodepth": 32, "numjobs": 1},
    "random_read": {"rw": "randread", "bs": "4k", "iodepth": 32, "numjobs": 4},
}
PERCENTILES = ("50.000000", "95.000000", "99.000000", "99.900000")


class Failed(Exception):
    """It cannot be measured; says why."""


def holder(path):
    """(device, type) of the mount that holds a path."""
    best = ("", "", "")
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        head, _dash, tail = line.partition(" - ")
        place, (kind, source) = head.split(" ")[4], tail.split(" ")[:2]
        if (path + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best[0]):
            best = (place, source, kind)
    return best[1:]


def size_for(path, mode):
    values = os.statvfs(path)
    size = min(LIMITS[mode][0], int(values.f_bavail * values.f_frsize * FREE_PART))
    if size < LEAST:
        raise Failed(f"{path} has too little free space: 5 % of it is less than 64 MiB")
    return size // MIB * MIB


def fio(file, name, size, seconds, direct):
    kind = KINDS[name]
    # Laid out first by `write`: what was never written is read without any disk.
    command = [
        "fio", f"--name={name}", f"--filename={file}", f"--size={size}", "--ioengine=libaio", f"--direct={int(direct)}",
        f"--rw={kind['rw']}", f"--bs={kind['bs']}", f"--iodepth={kind['iodepth']}", f"--numjobs={kind['numjobs']}",
        "--group_reporting", "--output-format=json", "--fallocate=none", "--randrepeat=0", "--end_fsync=1",
    ]  # fmt: skip
    command += [f"--runtime={seconds}", *(["--time_based"] if name != "write" else [])]
    code, output, errors = run(command, seconds + 60)
    try:
        job = json.loads(output[output.index("{") :])["jobs"][0]
    except (ValueError, KeyError, IndexError) as error:
        raise Failed(f"fio failed: {' '.join((errors or output).split())[:300]}") from error
    if job.get("error") or code:
        raise Failed(f"fio failed: {' '.join(errors.split())[:300]}")
    side = job["write" if name == "write" else "read"]
    latency = side.get("clat_ns", {}).get("percentile", {})
    return {
        "bytes_per_second": side["bw_bytes"],
        "io_per_second": round(side["iops"]),
        "bytes": side["io_bytes"],
        "latency_seconds": {key.rstrip("0").rstrip("."): latency[key] / 1e9 for key in PERCENTILES if key in latency},
    }


def run(command, seconds):
    """Return code, output, errors. fio works in processes of its own, which all go when this is stopped."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, output, errors


def measure(path, mode, report):
    seconds = LIMITS[mode][1]
    size = size_for(path, mode)
    device, kind = holder(os.path.realpath(path))
    version = subprocess.run(["fio", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    result = {"path": path, "device": device, "filesystem": kind, "mode": mode, "fio": version, "size_bytes": size}
    result["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with tempfile.TemporaryDirectory(prefix=".mlops-benchmark-", dir=path) as folder:
        file = f"{folder}/file"
        direct = can_direct(folder)
        result["direct"] = direct
        for name in KINDS:
            report(f"{path}: {name.replace('_', ' ')}, {size // MIB} MiB, at most {seconds} s")
            result[name] = fio(file, name, size, seconds, direct)
            if name == "write":
                # Where the time ended before the file did: beyond what was written there are only holes.
                size = max(MIB, min(size, result[name]["bytes"]) // MIB * MIB)
    result["read_bytes_per_second"] = result["read"]["bytes_per_second"]
    result["write_bytes_per_second"] = result["write"]["bytes_per_second"]
    return result


def can_direct(folder):
    """Whether the file system takes requests past the memory; tmpfs, for one, does not everywhere."""
    try:
        os.close(os.open(f"{folder}/probe", os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600))
    except OSError:
        return False
    return True


def main():
    # As Ctrl-C does: what is left to do is done, and that is the removal of the file.
    signal.signal(signal.SIGTERM, lambda *_signal: sys.exit("stopped"))
    wanted = json.load(sys.stdin)
    try:
        result = measure(wanted["path"], wanted["mode"], lambda line: print(line, file=sys.stderr, flush=True))
    except (Failed, OSError, subprocess.SubprocessError) as error:
        sys.exit(str(error))
    json.dump(result, sys.stdout)


main()
