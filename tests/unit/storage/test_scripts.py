"""The programs that the role storage leaves on a host, with stand-ins for what they call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles/storage/files"
NVME = {
    "model_name": "Fast 1", "serial_number": "N1", "smart_status": {"passed": True}, "temperature": {"current": 41},
    "power_on_time": {"hours": 1200},
    "nvme_smart_health_information_log": {"percentage_used": 103, "available_spare": 97, "critical_warning": 4, "media_errors": 2},
}  # fmt: skip
SATA = {
    "model_name": 'Big "2"', "serial_number": "S2", "smart_status": {"passed": False},
    "ata_smart_attributes": {"table": [{"id": 5, "raw": {"value": 8}}, {"id": 197, "raw": {"value": 0}}, {"id": 9, "raw": {"value": 5}}]},
}  # fmt: skip


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!{sys.executable}\n{text}")
    (folder / name).chmod(0o755)


def run(script: str, folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(FILES / script), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )


@pytest.fixture
def health(tmp_path) -> list[str]:
    """The lines about disks: one NVMe, one SATA behind a controller, one that sleeps, one that answers nonsense."""
    devices = [
        {"name": "/dev/nvme0", "type": "nvme"},
        {"name": "/dev/bus/0", "type": "megaraid,3"},
        {"name": "/dev/sdb"},
        {"name": "/dev/sdc"},
    ]
    told = {"/dev/nvme0": [NVME, 0], "/dev/bus/0": [SATA, 8], "/dev/sdb": [{}, 2], "/dev/sdc": ["x", 0]}
    program(
        tmp_path,
        "smartctl",
        f"import json, sys\ntold = {told!r}\n"
        f"if '--scan' in sys.argv: print(json.dumps({{'devices': {devices!r}}})); sys.exit()\n"
        "assert ('megaraid,3' in sys.argv) == (sys.argv[-1] == '/dev/bus/0')\n"
        "answer, code = told[sys.argv[-1]]\nprint(json.dumps(answer) if answer != 'x' else 'no JSON')\nsys.exit(code)\n",
    )
    file = tmp_path / "out.prom"
    done = run("storage_health.py", tmp_path, str(file))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.prom", "smartctl"], "no half-written file is left"
    return [line for line in file.read_text().splitlines() if "_disk_" in line and not line.startswith("#")]


def test_disks_tell_what_they_know(health):
    assert {
        'mlops_storage_disk_info{disk="nvme0",model="Fast 1",serial="N1"} 1',
        'mlops_storage_disk_healthy{disk="nvme0"} 1',
        'mlops_storage_disk_temperature_celsius{disk="nvme0"} 41',
        'mlops_storage_disk_used_ratio{disk="nvme0"} 1.03',
        'mlops_storage_disk_spare_ratio{disk="nvme0"} 0.97',
        'mlops_storage_disk_critical_warning{disk="nvme0"} 4',
        'mlops_storage_disk_media_errors{disk="nvme0"} 2',
        'mlops_storage_disk_info{disk="0:megaraid,3",model="Big \\"2\\"",serial="S2"} 1',
        'mlops_storage_disk_healthy{disk="0:megaraid,3"} 0',
        'mlops_storage_disk_reallocated_sectors{disk="0:megaraid,3"} 8',
        'mlops_storage_disk_pending_sectors{disk="0:megaraid,3"} 0',
    } <= set(health)


def test_what_is_not_told_is_no_number(health):
    for disk in ("sdb", "sdc"):
        assert [line for line in health if f'"{disk}"' in line] == [f'mlops_storage_disk_asked{{disk="{disk}"}} 0']
    assert not [line for line in health if "used_ratio" in line and "megaraid" in line]


def test_mounts_are_asked_and_one_that_is_not_there_is_started(tmp_path):
    program(
        tmp_path,
        "systemctl",
        f"import sys\nopen({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n",
    )
    file = tmp_path / "out.prom"
    file.write_text('mlops_storage_mount_stale_total{path="/no/such-place"} 7\n')
    done = run("storage_mounts.py", tmp_path, str(file), "/", "/no/such-place")
    assert done.returncode == 0, done.stderr
    lines = file.read_text().splitlines()
    assert 'mlops_storage_mount_up{path="/"} 1' in lines
    assert 'mlops_storage_mount_up{path="/no/such-place"} 0' in lines
    assert 'mlops_storage_mount_stale_total{path="/no/such-place"} 7' in lines, "the count goes on"
    assert (tmp_path / "calls").read_text().splitlines() == [
        r"reset-failed no-such\x2dplace.mount no-such\x2dplace.automount",
        r"start no-such\x2dplace.automount",
    ]
    assert "/no/such-place cannot be used" in done.stdout


FIO = {
    "jobs": [
        {
            side: {"bw_bytes": 5, "iops": 2.6, "io_bytes": 64 * 2**20, "clat_ns": {"percentile": {"99.000000": 2000}}}
            for side in ("read", "write")
        }
    ]
}


def test_the_speed_is_measured_and_the_file_removed(tmp_path):
    program(tmp_path, "fio", f"import sys\nprint('fio-9.9' if '--version' in sys.argv else {json.dumps(FIO)!r})\n")
    place = tmp_path / "place"
    place.mkdir()
    done = run("benchmark.py", tmp_path, stdin=json.dumps({"path": str(place), "mode": "quick"}))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["read_bytes_per_second"], result["fio"], result["mode"]) == (5, "fio-9.9", "quick")
    assert result["random_read"]["latency_seconds"] == {"99": 2e-06}
    assert 0 < result["size_bytes"] <= 2**30
    assert list(place.iterdir()) == []


def test_a_failed_measurement_says_why_and_leaves_nothing(tmp_path):
    program(
        tmp_path,
        "fio",
        "import sys\nif '--version' in sys.argv: print('fio-9.9')\nelse: sys.exit('no space on the disk')\n",
    )
    place = tmp_path / "place"
    place.mkdir()
    done = run("benchmark.py", tmp_path, stdin=json.dumps({"path": str(place), "mode": "full"}))
    assert done.returncode == 1
    assert "no space on the disk" in done.stderr
    assert list(place.iterdir()) == []


def test_a_measurement_that_is_stopped_leaves_nothing(tmp_path):
    program(
        tmp_path,
        "fio",
        "import os, sys, time\nif '--version' in sys.argv: print('fio-9.9'); sys.exit()\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)\n",
    )
    place = tmp_path / "place"
    place.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(FILES / "benchmark.py")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    process.stdin.write(json.dumps({"path": str(place), "mode": "quick"}))
    process.stdin.close()
    pid = tmp_path / "pid"
    while process.poll() is None and not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.stderr.close()
    assert list(place.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
