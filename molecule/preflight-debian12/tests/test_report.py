"""What a passing gate leaves behind: three files on the controller, nothing on the host."""

from __future__ import annotations

import csv
import re


def statuses(report, host_name):
    return {row["check"]: row["status"] for row in report["rows"] if row["host"] == host_name}


def test_every_requirement_has_one_row(host, report):
    checks = [row["check"] for row in report["rows"]]
    assert len(checks) == len(set(checks))
    assert {"base.memory", "registry.memory", "monitoring.memory", "together.memory.total_bytes"} <= set(checks)
    assert not any(check.startswith("gpu_") for check in checks)


def test_services_on_one_host_add_up(report):
    row = next(row for row in report["rows"] if row["check"] == "together.memory.total_bytes")
    assert row["required"] == ">= 7 GiB (-7 %)"


def test_values_are_the_hosts_own(host, report):
    row = next(row for row in report["rows"] if row["check"] == "registry.threads")
    # nproc counts what this container may use; the row tells of the whole machine.
    assert row["found"] == host.check_output("getconf _NPROCESSORS_ONLN")
    assert row["status"] == "pass"
    assert "/sys/devices/system/cpu" in row["evidence"]


def test_page_stands_alone_and_names_every_check(inventory, report):
    page = (inventory.parent / ".mlops/report/index.html").read_text()
    assert "src=" not in page
    assert set(re.findall(r'href="([^"#]*)', page)) <= {""}, "a link leads out of the page"
    assert "http" not in page
    for row in report["rows"]:
        assert row["check"] in page


def test_table_has_the_same_rows(inventory, report):
    with (inventory.parent / ".mlops/report/report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["host"], row["check"], row["status"]) for row in rows] == [
        (row["host"], row["check"], row["status"]) for row in report["rows"]
    ]


def test_nothing_is_left_on_the_host(host):
    assert not host.file("/root/.mlops").exists
    assert not host.file("/etc/mlops-onprem").exists
