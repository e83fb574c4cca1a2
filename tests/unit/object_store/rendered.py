"""What the role would write, and what it refuses.

Nothing of the role runs but its validation; what it would write is printed.
"""

from __future__ import annotations

from pathlib import Path

from printed import ROOT, printed

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
    hosts = {name: {f"object_store_{key}": value for key, value in case.items()} for name, case in cases.items()}
    found = printed(folder, ROLE, PLAYBOOK, hosts, {})
    for data in found.values():
        if "refused" not in data:
            data["modes"] = {entry["path"]: entry.get("mode") for entry in data["files"] + data["secrets"]}
            data["files"] = {entry["path"]: entry["content"] for entry in data["files"] + data["secrets"]}
            data["arguments"] = {service: about["arguments"].split() for service, about in data["services"].items()}
    return found
