"""From nothing to a registered model, and what goes wrong on the way. The tests stand on one another: order matters."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import HOSTS, LAB, ROOT, lab, on, site
from counting import executions, parse
from recap import recap

INVENTORY = ROOT / "inventories/lab"
SECRETS = INVENTORY / ".mlops/secrets"
EXECUTION_BUDGET = 250


def assert_green(result: subprocess.CompletedProcess) -> dict[str, dict[str, int]]:
    assert result.returncode == 0, result.stdout[-6000:]
    return recap(result.stdout)


@pytest.fixture(scope="module", autouse=True)
def _lab():
    assert lab("down").returncode == 0
    yield
    if not os.environ.get("MLOPS_KEEP_LAB"):
        lab("down")


def test_an_assessment_reports_and_neither_changes_nor_stops():
    assert lab("containers").returncode == 0
    too_much = {"id": "site.many", "profiles": ["base"], "fact": "cpu.threads", "operator": ">=", "value": 4096}
    result = lab("play", "playbooks/assess.yml", "-e", json.dumps({"preflight_requirements": [too_much]}))
    counts = assert_green(result)
    assert {host: counts[host]["changed"] for host in HOSTS} == dict.fromkeys(HOSTS, 0)
    assert "FAIL" in result.stdout
    report = json.loads((INVENTORY / ".mlops/report/report.json").read_text())
    rows = report["rows"]
    # Nothing listens on the registry's port yet, and everybody reaches its host.
    assert {(flow["from"], flow["answer"]) for flow in report["flows"]} == {
        (host, "refused") for host in HOSTS if host != "registry1"
    }
    assert {row["host"] for row in rows if row["check"] == "site.many" and row["status"] == "fail"} == set(HOSTS)


def test_check_mode_on_fresh_hosts_changes_nothing():
    assert lab("containers").returncode == 0
    before = {host: on(host, "find", "/etc", "/opt", "/var/lib", "-newermt", "1 minute ago").stdout for host in HOSTS}
    counts = assert_green(site("--check", "--diff"))
    assert set(counts) >= set(HOSTS)
    assert counts["registry1"]["changed"] > 5, "check mode predicts nothing for a bare host"
    assert on("registry1", "test", "-e", "/opt/mlflow").returncode == 1
    assert before


def test_a_killed_run_is_repaired_by_the_next():
    """kill -9 of the controller while the registry is being provisioned, then the same command again."""
    log = (ROOT / ".build/logs/lab-killed.log").open("w")
    process = subprocess.Popen(
        [LAB, "up"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    deadline = time.monotonic() + 300
    # The database is there, the service is not: the middle of the registry's provisioning.
    while time.monotonic() < deadline and on("registry1", "test", "-e", "/opt/mlflow").returncode != 0:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(1)
    time.sleep(8)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert on("registry1", "systemctl", "is-active", "mlflow").stdout.strip() != "active"

    result = lab("up")
    counts = assert_green(result)
    assert counts["registry1"]["failed"] == 0
    for text in (
        "What runs where",
        "gpu1 (simulated)",
        "https://127.0.0.1:",
        "Registry login",
        "CA certificate",
        "Assessment report",
        "How long each part took",
    ):
        assert text in result.stdout, text


def test_the_summary_leads_to_real_files():
    assert (SECRETS / "model_registry_admin_password").stat().st_mode & 0o777 == 0o600
    assert (SECRETS / "ca/ca.pem").exists()
    report = INVENTORY / ".mlops/report/index.html"
    assert "simulated" in report.read_text().lower(), "the report does not say that gpu1 is simulated"


def test_a_second_run_changes_nothing_within_its_budget():
    result = site(ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert result.returncode == 0, result.stdout[-6000:]
    stats = parse(result.stdout)["stats"]
    assert {host: stats[host]["changed"] for host in HOSTS} == dict.fromkeys(HOSTS, 0)
    counts = executions(result.stdout)
    print("module executions:", counts)
    assert sum(counts.values()) <= EXECUTION_BUDGET


def test_verify_proves_the_registry():
    counts = assert_green(lab("play", "playbooks/verify.yml"))
    assert all(count["failed"] == 0 for count in counts.values())


def test_limit_reaches_one_host_only():
    counts = assert_green(site("--limit", "storage1"))
    assert set(counts) <= {"storage1", "localhost"}


def test_tags_run_the_gate_and_the_role():
    result = site("--tags", "model_registry")
    counts = assert_green(result)
    assert counts["registry1"]["changed"] == 0
    assert "Gate" in result.stdout


def test_a_registry_group_without_hosts(tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("---\nmodel_registry:\n  hosts: {}\ngpu_nodes:\n  hosts:\n    gpu1:\n")
    result = subprocess.run(
        [ROOT / ".build/venv/test/bin/ansible-playbook", "-i", inventory, ROOT / "playbooks/site.yml"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "the group model_registry without any host" in result.stdout + result.stderr


def test_a_secret_that_others_can_read():
    secret = SECRETS / "model_registry_admin_password"
    secret.chmod(0o644)
    try:
        result = site("--tags", "model_registry")
    finally:
        secret.chmod(0o600)
    assert result.returncode == 2
    assert "chmod 600" in result.stdout
    assert secret.read_text().strip() not in result.stdout
    assert_green(site("--tags", "model_registry"))


def test_an_unsupported_system():
    os_release = on("ci1", "cat", "/etc/os-release").stdout
    assert os_release
    on(
        "ci1",
        "sh",
        "-c",
        "sed -i 's/^ID=.*/ID=plan9/; s/^NAME=.*/NAME=Plan9/; s/^VERSION_ID=.*/VERSION_ID=4/' /etc/os-release; mv /etc/debian_version /etc/debian_version.away",
    )
    try:
        result = site("--limit", "ci1")
    finally:
        # /etc/os-release is a link into /usr/lib: sed -i replaced it with a file.
        on(
            "ci1",
            "sh",
            "-c",
            "ln -sf ../usr/lib/os-release /etc/os-release; mv /etc/debian_version.away /etc/debian_version",
        )
    assert result.returncode == 2
    assert "ci1" in result.stdout
    assert_green(site("--limit", "ci1"))


def test_a_host_without_python():
    on("ci1", "mv", "/usr/bin/python3", "/usr/bin/python3.away")
    try:
        result = site()
    finally:
        on("ci1", "mv", "/usr/bin/python3.away", "/usr/bin/python3")
    assert result.returncode != 0
    assert "ci1" in result.stdout
    assert "python3" in result.stdout
    assert_green(site())


def test_nothing_listens_for_the_whole_world():
    """Ports are published on 127.0.0.1 only."""
    ports = subprocess.run(
        ["docker", "ps", "--filter", "label=org.mlops-onprem=mlops-onprem-lab", "--format", "{{.Ports}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    published = re.findall(r"(\S+):\d+->", ports)
    assert published
    assert set(published) == {"127.0.0.1"}


def test_no_secret_is_left_in_a_log():
    """The canary: the admin password in no journal, no process list, no unit, no output of this tier."""
    password = (SECRETS / "model_registry_admin_password").read_text().strip()
    for command in (
        ["journalctl", "--no-pager"],
        ["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"],
        ["systemctl", "cat", "mlflow"],
    ):
        output = on("registry1", *command).stdout
        assert output
        assert password not in output, command
    for log in Path(ROOT / ".build/logs").glob("lab*.log"):
        assert password not in log.read_text(errors="replace"), log


def test_down_leaves_nothing():
    assert lab("down").returncode == 0
    names = subprocess.run(
        ["docker", "ps", "-a", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    ).stdout
    assert "mlops-lab-" not in names
    assert not (INVENTORY / ".mlops").exists()
