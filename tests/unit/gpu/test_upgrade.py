"""The rolling upgrade with a stand-in for the role: who comes when, where it stops, and whom it names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# In place of the role: it says whom it touched, and fails where it is told to.
ROLE = """
- name: Touch
  ansible.builtin.lineinfile:
    path: "{{ folder }}/touched"
    line: "{{ inventory_hostname }} {{ gpu_driver_upgrade }}"
    create: true
    mode: "0644"
  throttle: 1
- name: Break
  ansible.builtin.fail:
    msg: "{{ inventory_hostname }} has 7 of 8 GPUs."
  when: broken | default(false)
"""
HOST = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
BROKEN = {**HOST, "broken": True}
# Nothing listens there.
ABSENT = {**HOST, "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}


class Fleet:
    """Hosts that are all this computer, and the playbook over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        place = folder / "collections/ansible_collections/mlops/onprem"
        (place / "roles/gpu_driver/tasks").mkdir(parents=True)
        (place / "roles/gpu_driver/tasks/main.yml").write_text(ROLE)
        # The other parts of the playbook are read, and not run.
        for role in (REPOSITORY / "roles").iterdir():
            if role.name != "gpu_driver":
                (place / "roles" / role.name).symlink_to(role)
        for name in ("playbooks", "plugins", "meta", "galaxy.yml"):
            (place / name).symlink_to(REPOSITORY / name)
        (folder / "inventory").mkdir()

    def upgrade(self, hosts: dict[str, dict[str, Any]], **variables: Any) -> subprocess.CompletedProcess[str]:
        inventory = {"all": {"children": {"gpu_nodes": {"hosts": hosts}}}}
        (self.folder / "inventory/hosts.yml").write_text(json.dumps(inventory))
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(self.folder / "inventory/hosts.yml"),
        ]
        options = ["--tags", "gpu_driver", "-e", json.dumps({"folder": str(self.folder), **variables})]
        return subprocess.run(
            [*command, *options, "mlops.onprem.upgrade"],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
                "ANSIBLE_HOME": str(self.folder / "home"),
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_LOCALHOST_WARNING": "0",
                "ANSIBLE_TIMEOUT": "5",
                "ANSIBLE_PIPELINING": "true",
            },
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @property
    def touched(self) -> list[str]:
        return re.findall(r"^(\S+) True$", (self.folder / "touched").read_text(), re.M)

    @property
    def status(self) -> dict[str, Any]:
        return json.loads((self.folder / "inventory/.mlops/report/upgrade-gpu_driver.json").read_text())


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


def words(run: subprocess.CompletedProcess[str]) -> str:
    return re.sub(r"\s+", " ", run.stdout)


def test_a_canary_that_fails_leaves_all_others_untouched_and_names_them(fleet):
    run = fleet.upgrade({"gpu1": HOST, "gpu2": BROKEN, "gpu3": HOST}, mlops_upgrade_canary="gpu2")
    assert run.returncode == 2, run.stdout
    assert fleet.touched == ["gpu2"]
    assert "gpu2 has 7 of 8 GPUs. The upgrade stops here." in words(run)
    assert "Untouched: gpu1, gpu3." in words(run)
    assert fleet.status == {
        "state": "stopped",
        "done": [],
        "batch": ["gpu2"],
        "bad": ["gpu2"],
        "untouched": ["gpu1", "gpu3"],
    }


def test_one_of_a_batch_stops_the_next_batch_and_not_its_own(fleet):
    """A host that cannot be reached is no better than one that fails."""
    hosts = {"gpu1": HOST, "gpu2": BROKEN, "gpu3": ABSENT, "gpu4": HOST, "gpu5": HOST}
    run = fleet.upgrade(hosts, mlops_upgrade_batches=[1, 3])
    assert run.returncode == 2, run.stdout
    assert sorted(fleet.touched) == ["gpu1", "gpu2", "gpu4"]
    assert "gpu2: gpu2 has 7 of 8 GPUs. The upgrade stops here." in words(run)
    assert "gpu3: it cannot be reached. The upgrade stops here." in words(run)
    assert "Did not end well: gpu2, gpu3. Upgraded: gpu1, gpu4. Untouched: gpu5." in words(run)
    assert "Done: gpu1. Now: gpu2, gpu3, gpu4. Untouched if this batch does not end well: gpu5." in words(run)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"mlops_upgrade_canary": "elsewhere"}, "elsewhere is no host of the group gpu_nodes (gpu1)"),
        ({"mlops_drain": ["slrum"]}, "slrum is unknown. There are slurm, kubernetes, ci_runner"),
    ],
)
def test_what_would_go_wrong_on_the_way_is_refused_before(fleet, variables, reason):
    run = fleet.upgrade({"gpu1": HOST}, **variables)
    assert run.returncode == 2
    assert reason in words(run)
    assert not (fleet.folder / "touched").exists()
