"""The scripts that go to the host, run as they are there, with a stand-in of nvidia-smi that says what a test wants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILES = Path(__file__).resolve().parents[3] / "roles/ci_runner/files"
ADDRESS = "0000:10:00.0"


@pytest.fixture
def host(tmp_path):
    """Runs a script; `facts` may be changed before."""
    work = tmp_path / "work"
    for kind in ("builds", "cache"):
        (work / "gpu0" / kind).mkdir(parents=True)
    device = {"kind": "gpu", "index": 0, "vendor": "nvidia", "uuid": "GPU-0", "pci_address": ADDRESS}
    facts = {
        "min_free_gb": 0,
        "clean_days": 7,
        "work_dir": str(work),
        "provider": "gitlab",
        "executor": "shell",
        "container_command": "",
        "slots": {"gpu0": {"runner": "n-gpu0", "devices": [device]}, "cpu": {"runner": "n-cpu", "devices": []}},
    }

    def run(script, *arguments, says="", code=0, **environment):
        (tmp_path / "facts.json").write_text(json.dumps(facts))
        for name, text in (
            ("nvidia-smi", f"cat <<'E'\n{says}\nE\nexit {code}"),
            ("docker", f'echo "$@" >> {tmp_path}/calls'),
        ):
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        return subprocess.run(
            [sys.executable, str(FILES / script), *arguments],
            env={
                **os.environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "MLOPS_CI_FACTS": str(tmp_path / "facts.json"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    run.facts, run.work, run.folder = facts, work, tmp_path
    return run


GOOD = "00000000:10:00.0, 0, No, No"


@pytest.mark.parametrize(
    ("says", "code", "why"),
    [
        (GOOD, 0, ""),
        ("00000000:10:00.0, [N/A], [N/A], [N/A]", 0, ""),
        ("00000000:10:00.0, 3, No, No", 0, "uncorrected memory errors (3)"),
        ("00000000:10:00.0, 0, Yes, No", 0, "rows that could not be remapped (Yes)"),
        ("00000000:10:00.0, 0, No, 1", 0, "rows to be remapped (1)"),
        ("00000000:11:00.0, 0, No, No", 0, "GPU 0 at 0000:10:00.0 does not answer"),
        ("Failed to initialize NVML", 9, "nvidia-smi does not answer: Failed to initialize NVML"),
    ],
)
def test_a_slot_with_an_unhealthy_gpu_takes_no_jobs(host, says, code, why):
    done = host("ci-health.py", "gpu0", says=says, code=code)
    assert done.returncode == bool(why), done
    assert why in done.stdout
    assert host("ci-health.py", "cpu", says=says, code=code).returncode == 0, "a slot without GPU is not held up"


def test_a_full_disk(host):
    host.facts["min_free_gb"] = 10**9
    done = host("ci-health.py", "cpu")
    assert done.returncode == 1
    assert "GB are free at" in done.stdout


def aged(path, days):
    then = time.time() - days * 86400
    for one in [*path.rglob("*"), path]:
        os.utime(one, (then, then))


def test_old_work_goes_by_its_age(host):
    builds = host.work / "gpu0/builds"
    for name, days in (("old", 8), ("young", 6), ("touched", 8)):
        (builds / name / "inner").mkdir(parents=True)
        aged(builds / name, days)
    (builds / "touched/new").write_text("")
    (host.work / "gpu0/keep").mkdir()
    aged(host.work / "gpu0/keep", 100)
    done = host("ci-clean.py")
    assert done.returncode == 0, done
    assert sorted(path.name for path in builds.iterdir()) == ["touched", "young"]
    assert (host.work / "gpu0/keep").exists(), "only work is cleaned"


def test_what_a_process_works_in_stays(host):
    folder = host.work / "gpu0/builds/old"
    folder.mkdir()
    aged(folder, 30)
    with subprocess.Popen(["sleep", "60"], cwd=folder) as process:
        host("ci-clean.py")
        assert folder.exists()
        process.terminate()
    host("ci-clean.py")
    assert not folder.exists()


def test_links_in_the_work_are_removed_and_not_followed(host):
    precious = host.folder / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    link = host.work / "gpu0/builds/link"
    link.symlink_to(precious)
    os.utime(link, (0, 0), follow_symlinks=False)
    host("ci-clean.py")
    assert not link.is_symlink()
    assert (precious / "file").exists()


def test_every_call_of_the_engine_names_the_label(host):
    host.facts["container_command"] = "docker"
    assert host("ci-clean.py").returncode == 0
    calls = (host.folder / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert all("prune --force --filter label=mlops.onprem.slot" in call for call in calls)
    assert not any("system prune" in call or "--all" in call for call in calls)


def test_an_account_of_each_job(host):
    health = host.folder / "ci-health.py"
    health.write_text("")
    start = host(
        "ci-job.py", "started", says=GOOD, MLOPS_CI_SLOT="gpu0", GITHUB_RUN_ID="42", GITHUB_REPOSITORY="acme/models"
    )
    assert start.returncode == 0, start
    assert host("ci-job.py", "completed", MLOPS_CI_SLOT="gpu0").returncode == 0
    line = json.loads((host.work / "gpu0/jobs.jsonl").read_text())
    assert (line["job"], line["repository"], line["slot"], line["gpus"]) == ("42", "acme/models", "gpu0", ["GPU-0"])
    assert line["gpu_seconds"] >= 0
    assert host("ci-job.py", "completed", MLOPS_CI_SLOT="gpu0").returncode == 0, "a job that never started is none"
    assert len((host.work / "gpu0/jobs.jsonl").read_text().splitlines()) == 1


def test_a_job_does_not_start_on_an_unhealthy_slot(host):
    done = host("ci-job.py", "started", says="x", code=9, MLOPS_CI_SLOT="gpu0")
    assert done.returncode == 1
    assert "nvidia-smi does not answer" in done.stdout
