"""The role's variables as a host would see them: one run of Ansible on this computer for all cases, each a host of its own.

Nothing of the role runs but its validation; what it would write is printed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/object_store"
PEERS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
DATABASE = {"host": "db.example.test", "password": "with 'quotes\\\""}

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        distribution: Debian
        distribution_version: "12"
        distribution_major_version: "12"
        os_family: Debian
        pkg_mgr: apt
        default_ipv4: {address: 10.0.0.1}
    - block:
        - ansible.builtin.import_role: {name: mlops.onprem.object_store, tasks_from: validate}
        - ansible.builtin.debug:
            msg: "{{ {'files': __object_store_files, 'secrets': __object_store_secret_files, 'services': __object_store_services} }}"
      rescue:
        - ansible.builtin.debug:
            msg: "{{ {'refused': ansible_failed_result.msg} }}"
"""


def render(folder: Path, cases: dict[str, dict]) -> dict[str, dict]:
    """By case: `files` (path -> content), `arguments` (service -> words) and more, or `refused` (the message)."""
    for name in ("templates", "files"):
        (folder / name).symlink_to(ROLE / name)
    (folder / "play.yml").write_text(PLAYBOOK)
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {name: {f"object_store_{key}": value for key, value in case.items()} for name, case in cases.items()}
    (folder / "inventory.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_INJECT_FACT_VARS": "false",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    run = subprocess.run(
        ["ansible-playbook", "-i", "inventory.yml", "--forks=4", "play.yml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    tasks = json.loads(run.stdout[run.stdout.index("{") :])["plays"][0]["tasks"]
    found = {
        name: about["msg"]
        for task in tasks
        for name, about in task["hosts"].items()
        if isinstance(about.get("msg"), dict)
    }
    assert set(found) == set(cases), run.stdout[-4000:] + run.stderr[-2000:]
    for data in found.values():
        if "refused" not in data:
            data["modes"] = {entry["path"]: entry.get("mode") for entry in data["files"] + data["secrets"]}
            data["files"] = {entry["path"]: entry["content"] for entry in data["files"] + data["secrets"]}
            data["arguments"] = {service: about["arguments"].split() for service, about in data["services"].items()}
    return found
