"""The storage role in a container: what needs no disk of its own, and what is refused before anything is written."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

CONVERGE = Path(__file__).resolve().parents[1] / "converge.yml"
sys.path[:0] = [str(CONVERGE.parents[1] / "shared"), str(CONVERGE.parents[2] / "tests/lab")]

from again import Again  # noqa: E402
from counting import executions  # noqa: E402


@pytest.fixture
def scenario(host):
    return Again(host, CONVERGE)


# What is there after the run


@pytest.mark.parametrize(
    ("name", "group", "mode"),
    [("datasets", "mlops", 0o2775), ("models", "mlops", 0o2775), ("scratch", "root", 0o1777), ("home", "root", 0o755)],
)
def test_the_default_directories(host, name, group, mode):
    folder = host.file(f"/srv/mlops/{name}")
    assert (folder.user, folder.group, folder.mode & 0o7777) == ("root", group, mode)


def test_the_group_has_its_number(host):
    assert host.group("mlops").gid == 7700


def test_old_files_in_scratch_are_removed_and_new_ones_stay(host):
    host.check_output(
        'sh -c \'cd /srv/mlops/scratch && mkdir -p old && touch new && touch -d "40 days ago" old/file && touch -d "40 days ago" old\''
    )
    # Files are as young as their latest time, and a container cannot set the time of the last change of status.
    shown = host.run("systemd-tmpfiles --cat-config").stdout
    assert re.search(r"^e\s+/srv/mlops/scratch\s+-\s+-\s+-\s+30d", shown, flags=re.MULTILINE), shown[-500:]
    assert host.run("systemd-tmpfiles --clean /etc/tmpfiles.d/mlops-onprem-storage.conf").rc == 0
    assert host.file("/srv/mlops/scratch/new").exists


def test_the_watch_writes_what_prometheus_reads(host):
    host.check_output("systemctl start mlops-onprem-storage-health.service")
    text = host.file("/var/lib/prometheus/node-exporter/mlops_storage_health.prom").content_string
    assert text.startswith("# HELP "), text[:200]
    timer = host.check_output(
        "systemctl show mlops-onprem-storage-health.timer --property=ActiveState --property=UnitFileState"
    )
    assert set(timer.splitlines()) == {"ActiveState=active", "UnitFileState=enabled"}


# What a later run does


def test_a_run_that_changes_nothing_costs_three_executions(scenario):
    """As the README says: facts, the plan, and one look at packages, files and units."""
    counts = executions(scenario.good(callback="ansible.posix.json"))
    assert list(counts.values()) == [3]


def test_what_differs_is_put_right_and_nothing_else(host, scenario):
    host.check_output(
        "sh -c 'chmod 700 /srv/mlops/models && touch /srv/mlops/models/kept && chmod 640 /srv/mlops/models/kept'"
    )
    assert scenario.changed() == 1
    assert host.file("/srv/mlops/models").mode & 0o7777 == 0o2775
    assert host.file("/srv/mlops/models/kept").mode == 0o640


def test_the_speed_is_measured_compared_and_kept(host, scenario):
    text = scenario.good(storage_benchmark="quick", storage_benchmark_paths=["/srv/mlops/models"])
    assert re.search(r"/srv/mlops/models: reads [0-9.]+ GB/s, writes [0-9.]+ GB/s", text), text[-3000:]
    kept = json.loads(host.file("/var/lib/mlops-onprem/storage/benchmark.json").content_string)
    report = json.loads(
        (scenario.inventory.parent / f".mlops/report/storage-{scenario.inventory.parent.name}.json").read_text()
    )
    assert report["results"] == kept["results"]
    assert kept["results"][0]["read_bytes_per_second"] > 0
    assert host.check_output("ls -A /srv/mlops/models").split() == ["kept"]
    said = scenario.refused(
        storage_benchmark="quick",
        storage_benchmark_paths=["/srv/mlops/models"],
        storage_benchmark_required_read_bytes_per_second=1e15,
    )
    assert "of 1000000.00 GB/s needed" in said


# What is refused, before anything is written


@pytest.mark.one_release
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        (
            {"storage_pools": [{"name": "data", "devices": [{"serial": "NONE"}], "mount": "/srv/data"}]},
            "pool data: serial NONE is not in this host",
        ),
        (
            {"storage_pools": [{"name": "data", "devices": ["/dev/sda"], "mount": "/srv/data"}]},
            "device '/dev/sda' may name another disk after the next boot",
        ),
        (
            {"storage_pools": [{"name": "data", "devices": [{"select": {"kind": "virtual"}}], "mount": "/srv/data"}]},
            "select kind virtual finds 0 of at least 1 disks",
        ),
        (
            {"storage_exports": [{"path": "/srv/mlops", "clients": ["*"]}]},
            "client '*': it is everybody who reaches this host",
        ),
        (
            {"storage_directories": [{"path": "/srv/mlops/x", "owner": "nobodyknows"}]},
            "storage_directories[0] (/srv/mlops/x)",
        ),
        (
            {"storage_directories": [{"path": "/srv/mlops/x", "quota": "1 TiB"}]},
            "/srv/mlops/x",
        ),
    ],
)
def test_input_that_cannot_work(host, scenario, variables, reason):
    host.check_output("touch /root/before")
    said = scenario.refused(**variables)
    assert reason in said, said[-3000:]
    assert "Nothing was changed" in said
    assert host.check_output("find /srv /etc /var/lib/mlops-onprem -newer /root/before") == ""


# The way back


def test_takes_back_what_it_made_and_keeps_the_data(host, scenario):
    scenario.good(storage_state="absent")
    assert host.file("/srv/mlops/models/kept").exists
    assert not host.file("/etc/tmpfiles.d/mlops-onprem-storage.conf").exists
    assert host.run("systemctl cat mlops-onprem-storage-health.timer").rc != 0
    assert scenario.changed(storage_state="absent") == 0
    scenario.good()
