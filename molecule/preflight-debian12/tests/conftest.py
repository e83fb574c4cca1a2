"""A run of the scenario's playbook with other variables, and a simulated machine in the container."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONVERGE = ROOT / "molecule/preflight-debian12/converge.yml"


@pytest.fixture(scope="session")
def inventory(request) -> Path:
    return Path(request.config.getoption("ansible_inventory"))


@pytest.fixture(scope="session")
def report(inventory) -> dict:
    """The report that converge wrote."""
    return json.loads((inventory.parent / ".mlops/report/report.json").read_text())


@pytest.fixture
def gate(inventory, tmp_path):
    """Run the gate with these variables; returns the finished process, its report's folder in `folder`."""

    def run(inventories=(), **variables) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "report"
        values = {"preflight_report_dir": str(folder), **variables}
        sources = [f"--inventory={path}" for path in (inventory, *inventories)]
        done = subprocess.run(
            ["ansible-playbook", *sources, "--extra-vars", json.dumps(values), str(CONVERGE)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        done.output = done.stdout + done.stderr
        done.folder = folder
        return done

    return run


@pytest.fixture
def simulated(host, tmp_path) -> dict:
    """Variables that make the container look like the lab's GPU server."""
    subprocess.run([sys.executable, ROOT / "scripts/lab/simulated_gpu_server.py", tmp_path / "made"], check=True)
    assert host.run("mkdir -p /srv/simulated").rc == 0
    container = host.backend.host
    subprocess.run(["docker", "cp", "--quiet", f"{tmp_path}/made/root/.", f"{container}:/srv/simulated"], check=True)
    return {
        "preflight_root": "/srv/simulated",
        "preflight_nvidia_smi_xml": "/srv/simulated/nvidia-smi.xml",
        "test_profiles": ["base", "gpu_training"],
        # What a processor of a machine that does not exist is called is not the point here.
        "preflight_requirements": [{"id": "base.architecture", "state": "absent"}],
    }
