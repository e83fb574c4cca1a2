"""A rolling upgrade of two nodes: the first one fails and the other stays untouched, the next run completes it, and the way back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import testinfra

SCENARIO = Path(__file__).resolve().parents[1]
ONE, TWO = "gpu-driver-upgrade1", "gpu-driver-upgrade2"
VERSIONS = {580: "580.126.20", 595: "595.58.03"}
XML = SCENARIO / "files/nvidia-smi.xml"
LOST = "0000:11:00.0"


class Node:
    """One node: what is installed, what the scheduler was told, how many GPUs answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.host = testinfra.get_host(f"ansible://{name}", ansible_inventory=str(SCENARIO / "inventory.yml"))

    @property
    def branch(self) -> int:
        version = self.host.check_output("dpkg-query --show --showformat '${Version}' nvidia-driver-cuda")
        return int(version.split(".")[0])

    @property
    def out(self) -> bool:
        return self.host.file("/srv/out").exists

    @property
    def scheduler(self) -> list[str]:
        return self.host.run("cat /srv/scheduler.log").stdout.split()

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads(self.host.file("/etc/ansible/facts.d/mlops_gpu.fact").content_string)

    def answer(self, gpus: int = 2) -> None:
        """Have this many of its two GPUs answer."""
        before, *cards = re.split(r"(?=  <gpu id)", XML.read_text())
        cards[-1], end = cards[-1].split("</gpu>\n")
        text = before + "".join([*cards[:-1], f"{cards[-1]}</gpu>\n"][:gpus]) + end
        subprocess.run(
            ["docker", "exec", "--interactive", self.name, "tee", "/srv/gpu/nvidia-smi.xml"],
            input=text.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def reset(self) -> None:
        self.answer()
        # Out of service stays whom the role has out: a test may begin where the one before ended.
        self.host.check_output(
            "rm -f /srv/busy /srv/scheduler.log; test -e /var/lib/mlops-onprem/gpu/drained.json || rm -f /srv/out"
        )


def play(playbook: str, *options: str, **variables: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible-playbook", "-i", SCENARIO / "inventory.yml", playbook, *options, "-e", json.dumps(variables)],
        env={**os.environ, "ANSIBLE_INJECT_FACT_VARS": "false", "ANSIBLE_PIPELINING": "true", "COLUMNS": "400"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def upgrade(branch: int, *options: str, code: int = 0, **variables: object) -> str:
    """Upgrade to a branch; what was said, in one line."""
    done = play("mlops.onprem.upgrade", "--tags", "gpu_driver", *options, gpu_driver_branch=branch, **variables)
    assert done.returncode == code, done.stdout[-4000:]
    return re.sub(r"\s+", " ", done.stdout)


def report(name: str) -> dict[str, Any]:
    return json.loads((SCENARIO / ".mlops/report" / name).read_text())


@pytest.fixture
def one() -> Node:
    node = Node(ONE)
    node.reset()
    return node


@pytest.fixture
def two() -> Node:
    node = Node(TWO)
    node.reset()
    return node


def other(branch: int) -> int:
    return next(known for known in VERSIONS if known != branch)


def test_a_proven_node_leaves_facts_and_a_report(one):
    facts = one.facts
    assert (facts["vendor"], facts["flavour"], facts["gpu_count"]) == ("nvidia", "open", 2)
    assert facts["driver_version"] == VERSIONS[one.branch]
    assert facts["gpus"][1]["pci_address"] == LOST
    assert facts["gpus"][1]["memory_class_gb"] == 80
    assert one.host.file("/etc/ansible/facts.d/mlops_gpu.fact").mode == 0o644
    told = report(f"gpu-{ONE}.json")
    assert told["verdict"] == "pass"
    assert {row["check"] for row in told["rows"]} >= {
        "module",
        "driver",
        "count",
        "model",
        "memory",
        "ecc",
        "xid",
        "p2p",
    }
    assert not one.out


def test_a_canary_that_fails_leaves_the_other_untouched(one, two):
    """The new driver finds one of two GPUs."""
    before, target = one.branch, other(two.branch)
    former = two.facts
    two.answer(1)
    try:
        said = upgrade(target, code=2, mlops_upgrade_canary=TWO)
    finally:
        two.answer()
    assert f"1 of 2 GPUs answer, missing: {LOST}" in said
    assert f"Untouched: {ONE}." in said
    assert "The host stays out of service (scheduler)" in said
    assert f"gpu_driver_branch: {former['branch']} with gpu_driver_upgrade: true goes back to it" in said
    assert (one.branch, one.scheduler, one.out) == (before, [], False)
    assert (two.branch, two.scheduler, two.out) == (target, ["is-out", "out", "is-idle"], True)
    assert two.facts == former, "what was proven last is the way back"
    assert report("upgrade-gpu_driver.json")["untouched"] == [ONE]
    assert report(f"gpu-{TWO}.json")["verdict"] == "fail"


def test_the_next_run_completes_it_and_puts_the_first_back(one, two):
    target = other(one.branch)
    upgrade(target, mlops_upgrade_canary=TWO)
    for node in (one, two):
        assert (node.branch, node.out, node.scheduler[-1]) == (target, False, "in"), node.name
        assert node.facts["driver_version"] == VERSIONS[target]
        assert not node.host.file("/var/lib/mlops-onprem/gpu/drained.json").exists
    assert report("upgrade-gpu_driver.json")["state"] == "finished"


def test_the_way_back_and_a_node_that_somebody_else_took_out(one, two):
    """The same command with the former branch. Who was out of service before stays out."""
    target = other(one.branch)
    one.host.check_output("touch /srv/out")
    upgrade(target)
    for node in (one, two):
        assert (node.branch, node.facts["branch"], node.facts["driver_version"]) == (target, target, VERSIONS[target])
    assert (one.scheduler, one.out) == (["is-out"], True)
    assert (two.scheduler, two.out) == (["is-out", "out", "is-idle", "in"], False)
    one.host.check_output("rm /srv/out")


def test_a_node_whose_work_does_not_end_keeps_its_driver(two):
    before = two.branch
    two.host.check_output("touch /srv/busy")
    said = upgrade(other(before), "--limit", TWO, code=2)
    assert "job 42 runs. Nothing was done to it, and it was put back" in said
    assert (two.branch, two.out, two.scheduler) == (before, False, ["is-out", "out", "is-idle", "in"])


def test_a_reboot_that_must_not_be_done_from_here_is_told_and_nothing_is_proven(one):
    """A container is this computer."""
    one.host.check_output("python3 /srv/machine.py --loaded 575.57.08")
    done = play(str(SCENARIO / "converge.yml"), "--limit", ONE)
    said = re.sub(r"\s+", " ", done.stdout)
    one.host.check_output(
        "python3 /srv/machine.py && mkdir /srv/gpu/host/dev && echo '6,1,1,-;simulated' > /srv/gpu/host/dev/kmsg"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    installed = VERSIONS[one.branch]
    assert f"a reboot is needed (the module 575.57.08 is loaded, {installed} is installed) and not done" in said
    assert report(f"gpu-{ONE}.json")["verdict"] == "pending"
