"""What a reader is told: who reaches whom, clocks that differ, and what will get in the way."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.survey.facts import gather
from ansible_collections.mlops.onprem.plugins.module_utils.survey.findings import survey_findings
from ansible_collections.mlops.onprem.plugins.module_utils.survey.matrix import matrix
from ansible_collections.mlops.onprem.plugins.module_utils.survey.skew import clock_rows
from hardware.trees import write

from .machine import SERVER

FLOW = {"from": ["a"], "to": "db", "port": 5432, "why": "database"}


def answered(answer, **more):
    record = {
        "host": "db",
        "address": "db",
        "port": 5432,
        "answer": answer,
        "milliseconds": 1.5,
        "addresses": ["10.0.0.2"],
    }
    return {"reach": [{**record, **more}]}


@pytest.mark.parametrize(
    ("answer", "status", "remedy"),
    [
        ("open", "pass", ""),
        ("refused", "pass", ""),
        ("timeout", "fail", "allow TCP from a to db (10.0.0.2), port 5432"),
        ("unreachable", "fail", "for a route"),
        ("unresolved", "fail", "Give db a name in the DNS"),
        (None, "unknown", "Survey a"),
        ("nonsense", "unknown", "Survey a"),
    ],
)
def test_each_answer_has_its_status_and_remedy(answer, status, remedy):
    (row,) = matrix({"a": answered(answer)}, [FLOW])
    assert row["status"] == status
    assert remedy in row["remedy"]
    assert bool(row["remedy"]) == (status != "pass")


def test_one_row_for_each_flow_and_host_in_order():
    flows = [{**FLOW, "from": ["b", "a", "b"]}, {**FLOW, "port": 443, "required": False}]
    rows = matrix({"a": answered("open"), "b": None}, flows)
    assert [(row["from"], row["port"], row["status"], row["required"]) for row in rows] == [
        ("b", 5432, "unknown", True),
        ("a", 5432, "pass", True),
        ("a", 443, "unknown", False),
    ]


def test_a_flow_with_an_address_is_found_by_it():
    flow = {**FLOW, "address": "10.0.0.2"}
    assert matrix({"a": answered("open")}, [flow])[0]["status"] == "unknown"
    assert matrix({"a": answered("open", address="10.0.0.2")}, [flow])[0]["status"] == "pass"


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        ("x", "flows[0]: 'x' is not a dictionary"),
        ({**FLOW, "prot": 1}, "unknown key 'prot'"),
        ({**FLOW, "from": "a"}, "from: 'a'"),
        ({**FLOW, "to": ""}, "to: ''"),
        ({**FLOW, "port": True}, "port: True"),
        ({**FLOW, "port": 65536}, "port: 65536"),
        ({**FLOW, "protocol": "udp"}, "only tcp can"),
    ],
)
def test_a_bad_flow_is_named(flow, message):
    with pytest.raises(DataError) as caught:
        matrix({}, [flow])
    assert message in str(caught.value)
    with pytest.raises(DataError):
        matrix({}, {"from": []})


def clocks(**offsets):
    return {
        host: {"time": {"offset_seconds": offset, "offset_error_seconds": error}}
        for host, (offset, error) in offsets.items()
    }


def test_clocks_are_warned_of_when_they_are_surely_off():
    rows = clock_rows({**clocks(a=(0.1, 0.2), b=(-3600.0, 0.5), c=(5.0, 4.0), d=(2.5, 0.4)), "e": None})
    assert [row["status"] for row in rows] == ["pass", "warn", "pass", "warn", "unknown"]
    assert rows[1]["found"] == "3600.0 s behind the controller, give or take 0.5 s"
    assert "chrony" in rows[1]["remedy"]


def test_hosts_that_agree_accuse_the_controller():
    rows = clock_rows(clocks(a=(60.0, 0.2), b=(60.5, 0.2)))
    assert {row["status"] for row in rows} == {"warn"}
    assert all("controller's clock" in row["remedy"] for row in rows)
    assert "chrony" in clock_rows(clocks(a=(60.0, 0.2)))[0]["remedy"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    survey = gather(str(write(tmp_path_factory.mktemp("server"), SERVER)))
    survey["sources"][0]["answer"] = "timeout"
    survey["dns"]["names"] = [{"name": "r.example", "addresses": None, "reason": "not known", "asked": True}]
    ports = {
        443: "model_registry",
        5432: {"role": "database", "programs": ["postgres"]},
        9090: "monitoring",
        9100: "exporters",
    }
    return {row["check"]: row for row in survey_findings("gpu1", survey, ports)}


def test_what_gets_in_the_way_is_named_once(rows):
    assert {check: row["status"] for check, row in rows.items()} == {
        "survey.port.443": "warn",
        "survey.port.9090": "warn",
        "survey.engines": "warn",
        "survey.kubernetes_node": "warn",
        "survey.nvidia_installer": "warn",
        "survey.packages_broken": "warn",
        "survey.packages_held": "warn",
        "survey.time_sync": "unknown",
        "survey.time_services": "warn",
        "survey.names": "warn",
        "survey.own_name": "warn",
        "survey.sources": "warn",
        "survey.reboot": "warn",
        "survey.automatic_updates": "info",
    }
    assert all(row["found"] and row["remedy"] and row["evidence"] and row["host"] == "gpu1" for row in rows.values())


def test_a_finding_says_what_was_found(rows):
    assert rows["survey.engines"]["found"] == "docker, podman"
    assert rows["survey.packages_broken"]["found"] == "nginx (reinstreq), nvidia-driver (half-configured)"
    assert rows["survey.own_name"]["found"] == "gpu1 is 127.0.1.1"
    assert rows["survey.sources"]["found"] == (
        "http://***@private.example:8000/debian (timeout by http://***@cache.example:3142/)"
    )
    assert "become" in rows["survey.port.443"]["remedy"]


def test_a_known_holder_of_a_port_is_named():
    survey = {"listeners": [{"protocol": "tcp", "address": "::", "port": 443, "program": "nginx", "pid": 8}]}
    found = {row["check"]: row for row in survey_findings("h", survey, {"443": "registry"})}
    assert found["survey.port.443"]["found"] == "taken by nginx (pid 8) at ::"
    assert "survey.port.443" not in {
        row["check"] for row in survey_findings("h", survey, {443: {"role": "registry", "programs": ["nginx"]}})
    }


def test_a_host_in_order_has_nothing_in_the_way():
    survey = {
        "containers": {
            "engines": [{"name": "docker"}, {"name": "containerd"}],
            "kubernetes_node": False,
            "slurm_node": False,
        },
        "packages": {"held": [], "broken": [], "nvidia_installer": [], "versions": {}},
        "listeners": [{"protocol": "udp", "address": "::", "port": 443, "program": "x", "pid": 8}],
        "time": {"synchronized": True, "services": ["chrony"]},
        "dns": {"own_addresses": ["10.0.0.1"], "own_name_loopback_only": False, "names": []},
        "sources": [{"url": "http://x", "enabled": True, "answer": "open"}, {"url": "http://y", "enabled": False}],
        "limits": {"reboot_required": False, "automatic_updates": []},
    }
    assert survey_findings("h", survey, {443: "x"}) == []
    assert [row["check"] for row in survey_findings("h", None)] == ["survey.facts"]


def test_ptp_is_not_called_out_of_order():
    survey = {"time": {"synchronized": False, "services": ["phc2sys"]}}
    assert {row["check"]: row["status"] for row in survey_findings("h", survey)} == {"survey.time_sync": "info"}
