"""Bad input and shortfalls: one message that says what, where and how to mend it, and a failed run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOO_MUCH = [
    {
        "id": f"site.{name}",
        "profiles": ["base"],
        "fact": "cpu.threads",
        "operator": ">=",
        "value": value,
        "remedy": "Buy a larger server.",
    }
    for name, value in (("many", 4096), ("more", 8192))
]


def test_all_shortfalls_come_in_one_message_with_hosts_that_are_lost(host, gate, tmp_path):
    lost = tmp_path / "lost.yml"
    lost.write_text(
        "molecule:\n  hosts:\n    lost1:\n      ansible_connection: ssh\n      ansible_host: 127.0.0.1\n"
        "      ansible_port: 1\n      ansible_ssh_retries: 0\n"
    )
    done = gate([lost], preflight_requirements=TOO_MUCH)
    assert done.returncode == 2
    assert "Requirement failed (2)" in done.output
    assert "site.many: requires >= 4096, found" in done.output
    assert "site.more: requires >= 8192, found" in done.output
    assert "Buy a larger server." in done.output
    assert "Host could not be read (1)" in done.output
    assert "lost1" in done.output
    # The report is written before the gate stops the run.
    rows = json.loads((done.folder / "report.json").read_text())["rows"]
    assert {row["status"] for row in rows if row["host"] == "lost1"} == {"unknown"}
    assert "could not be read" in (done.folder / "index.html").read_text()
    assert "changed=0" in done.stdout
    assert "changed=1" not in done.stdout


@pytest.mark.one_release
def test_report_only_stops_nothing(gate):
    done = gate(preflight_requirements=TOO_MUCH, preflight_gate="report_only")
    assert done.returncode == 0, done.output
    assert "FAIL" in done.stdout


@pytest.mark.one_release
def test_misspelt_key_is_named_with_the_nearest(gate):
    bad = {**TOO_MUCH[0], "severty": "warn"}
    done = gate(preflight_requirements=[bad])
    assert done.returncode == 2
    assert "requirement 'site.many'" in done.output
    assert "did you mean 'severity'?" in done.output
    assert not done.folder.exists()


@pytest.mark.one_release
def test_expired_waiver_is_an_error(host, gate):
    waiver = {"check": "base.memory", "host": host.backend.host, "reason": "accepted", "until": "2020-01-31"}
    done = gate(preflight_waivers=[waiver])
    assert done.returncode == 2
    assert "expired on 2020-01-31" in done.output
    assert "base.memory" in done.output


@pytest.mark.one_release
def test_waiver_is_shown_and_lets_pass(host, gate):
    waiver = {"check": "site.many", "host": host.backend.host, "reason": "ordered", "until": "2999-12-31"}
    done = gate(preflight_requirements=TOO_MUCH[:1], preflight_waivers=[waiver])
    assert done.returncode == 0, done.output
    assert "FAIL, waived" in done.stdout
    assert "ordered (until 2999-12-31)" in (done.folder / "index.html").read_text()


def test_simulated_machine_says_so_and_unknown_is_no_pass(gate, simulated):
    done = gate(**simulated)
    assert done.returncode == 0, done.output
    assert "(simulated)" in done.stdout
    assert "80 GB class" in done.stdout
    assert "simulated" in (done.folder / "index.html").read_text()
    rows = {row["check"]: row for row in json.loads((done.folder / "report.json").read_text())["rows"]}
    assert rows["gpu_training.accelerators"]["found"] == "2"
    # Free space is known of a mounted filesystem only, never of a copied tree.
    assert rows["base.free_space"]["status"] == "unknown"


@pytest.mark.one_release
def test_workloads_are_held_against_the_gpus(gate, simulated):
    model = {"parameters": "8.03e9", "layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "vocabulary": 128256}
    small = {"name": "answers", "task": "serve", "model": model, "concurrent_tokens": 65536}
    large = {**small, "name": "archive", "concurrent_tokens": 1048576}
    done = gate(**simulated, preflight_workloads=[small, large])
    assert done.returncode == 2
    assert "Requirement failed (1)" in done.output
    assert "workload.archive.gpus: requires 1 GPU with" in done.output
    assert "more GPUs of the" in done.output
    document = json.loads((done.folder / "report.json").read_text())
    fleet = {row["check"]: row["status"] for row in document["rows"] if row["host"] == "(fleet)"}
    assert (fleet["workload.answers.gpus"], fleet["workload.archive.gpus"]) == ("pass", "fail")
    assert document["workloads"][0]["requirements"]["kv_cache_bytes"]["expected"] == 65536 * 131072
    assert "GPUs for archive" in (done.folder / "index.html").read_text()


@pytest.mark.one_release
def test_a_misspelt_workload_is_named(gate):
    done = gate(preflight_workloads=[{"name": "answers", "task": "serv"}])
    assert done.returncode == 2
    assert "did you mean 'serve'?" in done.output
    assert not done.folder.exists()


@pytest.mark.one_release
def test_strict_gate_stops_at_what_could_not_be_read(gate, simulated):
    done = gate(**simulated, preflight_gate="strict")
    assert done.returncode == 2
    assert "Could not be read (1)" in done.output
    assert "Requirement failed" not in done.output


def test_the_survey_looks_around_and_changes_nothing(host, gate):
    name = host.backend.host
    # Nothing listens on port 9 of the container itself, and nothing is behind that name.
    flows = [{"from": [name], "to": name, "address": "127.0.0.1", "port": 9, "why": "a way that is free"}]
    done = gate(
        preflight_survey=True,
        preflight_probe_sources=False,
        preflight_flows=flows,
        preflight_names=["no-such-host.invalid"],
        preflight_gate="report_only",
    )
    assert done.returncode == 0, done.output
    assert "changed=0" in done.stdout
    document = json.loads((done.folder / "report.json").read_text())
    assert [(flow["answer"], flow["status"]) for flow in document["flows"]] == [("refused", "pass")]
    findings = {finding["check"]: finding for finding in document["findings"]}
    assert "no-such-host.invalid" in findings["survey.names"]["found"]
    page = (done.folder / "index.html").read_text()
    assert "Who reaches whom" in page
    assert "no-such-host.invalid" in page
    survey = document["hosts"][name]["survey"]
    assert {"dpkg", "apt"} & set(survey["packages"]["versions"]) or survey["packages"]["manager"] == "dpkg"


@pytest.mark.one_release
def test_snapshots_are_judged_without_the_host_and_in_german(host, gate, tmp_path):
    saved, later = tmp_path / "saved", tmp_path / "later"
    first = gate(preflight_snapshot_dir=str(saved))
    assert first.returncode == 0, first.output
    values = {
        "preflight_snapshot_dir": str(saved),
        "preflight_report_dir": str(later),
        "preflight_report_language": "de",
        "mlops_planned_hosts": [{"name": "new", "profiles": ["base"], "memory_gib": 0.5, "threads": 4}],
    }
    # No inventory at all: the machine need not exist any more.
    again = subprocess.run(
        ["ansible-playbook", "--extra-vars", json.dumps(values), str(ROOT / "playbooks/assess_snapshots.yml")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    before, after = (json.loads((folder / "report.json").read_text())["rows"] for folder in (first.folder, later))
    name = host.backend.host
    assert [row for row in after if row["host"] == name] == [row for row in before if row["host"] == name]
    planned = {row["check"]: row["status"] for row in after if row["host"] == "new"}
    assert planned == {"base.architecture": "pass", "base.memory": "fail", "base.free_space": "unknown"}
    page = (later / "index.html").read_text()
    assert "Arbeitsspeicher ergänzen." in page
    assert "Add memory." not in page


@pytest.mark.one_release
def test_a_fleet_requirement_and_a_bad_one(gate):
    like = [{"fact": "cpu.threads", "operator": ">=", "value": 1}]
    done = gate(
        preflight_fleet_requirements=[{"id": "site.pair", "hosts": 2, "like": like, "remedy": "Order one more."}]
    )
    assert done.returncode == 2
    assert "(fleet): site.pair: requires 2 hosts with cpu.threads >= 1, found 1" in done.output
    assert "Order one more." in done.output
    bad = gate(preflight_fleet_requirements=[{"id": "site.pair", "hosts": 2, "lik": like}])
    assert "did you mean 'like'?" in bad.output


@pytest.mark.one_release
def test_a_report_folder_that_cannot_be_written(gate, tmp_path):
    (tmp_path / "file").write_text("")
    done = gate(preflight_report_dir=str(tmp_path / "file/report"))
    assert done.returncode == 2
    assert "the report cannot be written" in done.output
    assert "preflight_report_dir" in done.output
