"""The facts of a server made of files, subject by subject."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.missing import missing
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import clock, packages
from ansible_collections.mlops.onprem.plugins.module_utils.survey.facts import gather, named_by
from hardware.trees import write

from .machine import SECRETS, SERVER

MODULE = Path(__file__).resolve().parents[3] / "plugins" / "modules" / "survey_facts.py"


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    targets = [{"host": "db1", "port": 5432, "why": "database"}]
    return gather(str(write(tmp_path_factory.mktemp("server"), SERVER)), ["registry.example"], targets)


def test_engines_schedulers_and_who_waits_at_the_socket(facts):
    docker, podman = facts["containers"]["engines"]
    assert docker == {
        "name": "docker",
        "binary": "/usr/bin/dockerd",
        "version": "5:27.3.1",
        "socket": "/run/docker.sock",
        "listening": True,
        "running": True,
    }
    assert (podman["name"], podman["version"], podman["listening"], podman["running"]) == ("podman", None, False, False)
    assert facts["containers"]["kubernetes_node"] is True
    assert facts["containers"]["slurm_node"] is False


def test_packages_that_matter_are_held_or_in_pieces(facts):
    assert facts["packages"] == {
        "manager": "dpkg",
        "versions": {
            "docker-ce": "5:27.3.1",
            "nginx": "1.22",
            "nvidia-driver": "550.1-1",
            "unattended-upgrades": "2.9",
        },
        "held": ["docker-ce", "hello"],
        "broken": [{"name": "nginx", "state": "reinstreq"}, {"name": "nvidia-driver", "state": "half-configured"}],
        "nvidia_installer": ["/usr/bin/nvidia-uninstall"],
    }


def test_rpm_packages_and_their_locks():
    text = "nvidia-driver\t550.1-1.el9\ncuda-toolkit-12-4\t12.4-1\nbroken line\n"
    found = list(packages.parse_rpm(text, "# lock\n3:nvidia-driver-550.1-1.el9.*\n!old-1-1\n"))
    assert [(item.name, item.version, item.held) for item in found] == [
        ("nvidia-driver", "550.1-1.el9", True),
        ("cuda-toolkit-12-4", "12.4-1", False),
    ]


def test_a_recorded_rpm_database_is_not_asked(tmp_path):
    found = gather(str(write(tmp_path, {"/var/lib/rpm/rpmdb.sqlite": "x", "/usr/bin/rpm": "x"})))
    assert found["packages"]["manager"] == "rpm"
    assert found["packages"]["versions"] is None
    assert found["limits"]["automatic_updates"] is None
    assert {"packages.versions", "packages.held", "packages.broken"} <= {entry["fact"] for entry in found["unreadable"]}


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("printf 'nginx\\t1-2\\n'", "nginx\t1-2\n"),
        ("exit 1", None),
        ("exec sleep 60", None),
    ],
)
def test_rpm_is_asked_with_a_limit(script, text, tmp_path, monkeypatch):
    program = tmp_path / "rpm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(packages, "RPM_PROGRAMS", (str(program),))
    monkeypatch.setattr(packages, "RPM_SECONDS", 60 if "sleep" not in script else 0.2)
    machine = Tree("/")
    assert packages.ask_rpm(machine) == text
    assert ("packages.versions" in machine.notes) == (text is None)


def test_listeners_by_port_with_their_programs(facts):
    assert [(r["protocol"], r["address"], r["port"], r["program"], r["uid"]) for r in facts["listeners"]] == [
        ("tcp", "::", 22, None, 0),
        ("udp", "0.0.0.0", 68, None, 0),
        ("tcp", "0.0.0.0", 443, None, 0),
        ("tcp", "127.0.0.1", 5432, "postgres", 104),
        ("tcp", "127.0.0.1", 9090, None, 0),
    ]


def test_names(facts):
    dns = facts["dns"]
    assert dns["nameservers"] == ["127.0.0.53"]
    assert dns["upstreams"] == ["10.0.0.2", "fe80::1%eth0"]
    assert dns["search"] == ["example", "other.example"]
    assert (dns["hostname"], dns["fqdn"]) == ("gpu1", "gpu1.example")
    assert (dns["own_addresses"], dns["own_name_loopback_only"]) == (["127.0.1.1"], True)
    (name,) = dns["names"]
    assert (name["name"], name["addresses"], name["asked"]) == ("registry.example", None, False)


def test_proxies_come_without_their_passwords(facts):
    assert [(item["where"], item["name"], item["value"]) for item in facts["proxy"]] == [
        ("/etc/environment", "https_proxy", "http://***@proxy.example:3128"),
        ("/etc/environment", "NO_PROXY", ".example"),
        ("/etc/apt/apt.conf.d/80proxy", "acquire::http::proxy", "http://***@cache.example:3142/"),
        ("/etc/apt/apt.conf.d/80proxy", "acquire::http::proxy::off.example", "DIRECT"),
        ("/etc/dnf/dnf.conf", "proxy", "http://***@dnf.example:3128"),
    ]


def test_sources_and_the_way_to_them(facts):
    cache, dnf = "http://***@cache.example:3142/", "http://***@dnf.example:3128"
    assert [(item["type"], item["name"], item["url"], item["enabled"], item["via"]) for item in facts["sources"]] == [
        ("apt", "bookworm", "http://***@private.example:8000/debian", True, cache),
        ("apt", "12]/", "cdrom:[Debian", True, "local"),
        ("apt", "bookworm bookworm-updates", "https://mirror.example/debian", True, cache),
        ("apt", "bookworm bookworm-updates", "https://second.example/***/debian", True, cache),
        ("apt", "x", "http://off.example/", False, "direct"),
        ("dnf", "base", "https://mirrors.example/list?***", True, "direct"),
        ("dnf", "gpu", "http://gpu.example:8080/berlin/", False, dnf),
        ("dnf", "gpu", "https://gpu2.example/", False, dnf),
        ("pip", "index-url", "https://***@pip.example/simple", True, "direct"),
        ("pip", "extra-index-url", "https://pip2.example/simple", True, "direct"),
    ]


def test_no_secret_is_in_the_facts(facts):
    text = json.dumps(facts)
    assert [secret for secret in SECRETS if secret in text] == []


def test_firewall_and_limits(facts):
    assert facts["firewall"] == {
        "tools": [
            {"name": "nftables", "binary": "", "config": "/etc/nftables.conf", "at_boot": True},
            {"name": "ufw", "binary": "", "config": "/etc/ufw/ufw.conf", "at_boot": False},
        ],
        "selinux": "enforcing",
        "apparmor": True,
    }
    assert facts["limits"] == {
        "open_files_system": 1000,
        "open_files_process": 2000,
        "user_namespaces": False,
        "automatic_updates": ["unattended-upgrades"],
        "reboot_required": True,
        "reboot_packages": ["libc6", "linux-image"],
    }


def test_the_clock_of_a_recorded_machine_is_not_known(facts):
    assert facts["time"]["services"] == ["chrony", "systemd-timesyncd"]
    assert facts["time"]["timezone"] == "Europe/Berlin"
    assert facts["time"]["synchronized"] is None
    assert facts["time"]["clock_utc"] is None


def test_a_recorded_machine_asks_no_network(facts):
    (target,) = facts["reach"]
    assert (target["answer"], target["milliseconds"]) == (None, None)
    assert "recorded machine" in target["reason"]
    assert {item["answer"] for item in facts["sources"]} == {None}


def test_adjtimex_is_read_as_its_manual_says():
    assert clock.verdict(0, 0x2001) is True
    assert clock.verdict(5, 0) is False
    assert clock.verdict(0, clock.STA_UNSYNC) is False


def test_the_clocks_are_compared_as_ntp_does():
    # The host is 10 s ahead; the way there takes 1 s, the way back 3 s, the work 5 s.
    offset, error = clock.compare(100.0, 111.0, 116.0, 109.0)
    assert abs(offset - 10) <= error == 2
    assert clock.compare(0, None, 1, 2) is None


def test_the_task_fills_the_offset_in_and_takes_the_reason_back():
    gap = [{"fact": f"time.{name}", "path": "", "reason": ""} for name in ("offset_seconds", "offset_error_seconds")]
    facts = {"mlops_survey": {"time": {"clock_utc": 5.0, "clock_utc_end": 6.0}, "unreadable": [*gap, {"fact": "x"}]}}
    clock.add_offset(facts, 1.0, 2.0)
    assert facts["mlops_survey"]["time"]["offset_seconds"] == 4.0
    assert facts["mlops_survey"]["unreadable"] == [{"fact": "x"}]
    for nothing in (None, {}, {"mlops_survey": None}, {"mlops_survey": {"time": 1}}):
        clock.add_offset(nothing, 1.0, 2.0)


@pytest.mark.parametrize("tree", [SERVER, {}, {"/sys/x": "", "/proc/x": ""}])
def test_each_null_has_its_reason(tree, tmp_path):
    found = gather(str(write(tmp_path, tree)), ["a", "b]c"], [{"host": "h", "port": 1}])
    entries = {entry["fact"]: entry for entry in found["unreadable"]}
    for fact in missing({key: value for key, value in found.items() if key != "unreadable"}, "", named_by):
        entry = entries.get(fact) or entries[re.sub(r"\[.*\]", "[]", fact)]
        assert entry["path"]
        assert entry["reason"] not in ("", "not known")


def shape(value):
    """The keys of nested facts; of a list, those of its first record."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return shape(value[0]) if isinstance(value, list) and value and isinstance(value[0], dict) else None


def documented(contains):
    return {key: documented(spec["contains"]) if "contains" in spec else None for key, spec in contains.items()}


def test_all_facts_are_documented(facts):
    text = re.search(r'RETURN = r"""(.*?)"""', MODULE.read_text(), re.S)
    spec = yaml.safe_load(text.group(1))["ansible_facts"]["contains"]["mlops_survey"]["contains"]
    found = shape(facts)
    found["packages"]["versions"] = None
    assert found == documented(spec)
