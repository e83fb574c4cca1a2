"""The module as Ansible runs it: gathered by itself with the other facts, never changed, the same in check mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: localhost
  gather_facts: true
  tasks:
    - mlops.onprem.hardware_facts:
      register: plain
    - mlops.onprem.hardware_facts:
      check_mode: true
      register: checked
    - mlops.onprem.hardware_facts:
        root: "{{ empty }}/nowhere"
      register: refused
      failed_when: false
    - ansible.builtin.copy:
        dest: "{{ empty }}/found.json"
        mode: "0644"
        content: "{{ {'gathered': ansible_facts, 'plain': plain, 'checked': checked, 'refused': refused} | to_json }}"
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a play sees: facts that were gathered, the results of a run and of a run in check mode, an error."""
    folder = tmp_path_factory.mktemp("play")
    (folder / "play.yml").write_text(PLAY)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".build/collections"),
        "ANSIBLE_FACTS_MODULES": "mlops.onprem.hardware_facts",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
    }
    variables = json.dumps({"empty": str(folder), "ansible_python_interpreter": sys.executable})
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", "-e", variables]
    run = subprocess.run(
        [*command, folder / "play.yml"], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return json.loads((folder / "found.json").read_text())


def test_a_play_gathers_the_facts_by_itself(found):
    assert found["gathered"]["mlops_hardware"]["schema"] == 1
    assert found["gathered"]["mlops_hardware"]["cpu"]["threads"] >= 1


def test_it_never_changes_anything(found):
    assert found["plain"]["changed"] is False
    assert found["checked"]["changed"] is False


def test_check_mode_gives_the_same_facts(found):
    plain, checked = (found[name]["ansible_facts"]["mlops_hardware"] for name in ("plain", "checked"))
    for facts in (plain, checked):
        # Others write to the disk between the two.
        for entry in facts["filesystems"]:
            entry.pop("available_bytes")
        # Ansible may move its processes.
        facts.pop("limits")
    assert checked == plain


def test_a_root_that_is_not_there_is_an_error_that_says_so(found):
    assert "/nowhere is no directory on the host" in found["refused"]["msg"]
