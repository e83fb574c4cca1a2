"""What the role would write, and what it refuses.

Nothing of the role runs but what refuses; what it would write is printed.
"""

from __future__ import annotations

import json
from pathlib import Path

from printed import ROOT, printed

ROLE = ROOT / "roles/model_registry"
DATABASE = {"host": "db.example.test", "password": 'with "quotes"', "sslmode": "require"}
READY = {"tracking": "dc11669786a5", "auth": "f1a2b3c4d5e6"}
# What the probe finds on a bare host with a database that is there.
HOST = {
    **{"packages": [], "user": True, "directories": [], "files": [], "installed": "", "upgrade": {}, "timers": []},
    **{"unwanted": [], "default_site": False, "destination": "", "filesystem": "nfs4"},
}
FOUND = {"error": "", "driver": True, "may_create": True, "begun": True, "tracking": "", "auth": ""}

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        distribution: Debian
        distribution_version: "13"
        distribution_major_version: "13"
        os_family: Debian
        pkg_mgr: apt
        default_ipv4: {address: 10.0.0.1}
    - block:
        - ansible.builtin.import_role: {name: mlops.onprem.model_registry, tasks_from: validate}
        - ansible.builtin.import_role: {name: mlops.onprem.model_registry, tasks_from: refuse}
        - ansible.builtin.debug:
            msg:
              files: "{{ __model_registry_all_files }}"
              directories: "{{ __model_registry_all_directories | map(attribute='path') | list }}"
              packages: "{{ __model_registry_packages }}"
              unwanted: "{{ __model_registry_unwanted }}"
              housekeeping: "{{ __model_registry_housekeeping }}"
              backup: "{{ __model_registry_backup_config }}"
              change: "{{ __model_registry_change }}"
              connections: "{{ __model_registry_connections }}"
              options: "{{ __model_registry_service_options }}"
      rescue:
        - ansible.builtin.debug:
            msg: "{{ {'refused': ansible_failed_result.msg} }}"
"""


def render(folder: Path, cases: dict[str, dict]) -> dict[str, dict]:
    """By case: `files` (path -> content) and more, or `refused` (the message).

    A case is the role's variables without their prefix; `found` is what the probe tells of the host, `database` in it of the database.
    """
    # Given secrets: making them waits for one another.
    secrets = ("admin_password", "flask_secret_key", "kek_passphrase", "backup_password")
    common = {f"model_registry_{name}": f"a long enough {name}" for name in secrets}
    hosts = {}
    for name, case in cases.items():
        found = case.get("found", {})
        database = {**FOUND, "connections": 97, "limit": "max_connections 100, 3 of them reserved"}
        probe = {**HOST, **found, "database": {**database, **found.get("database", {})}}
        hosts[name] = {f"model_registry_{key}": value for key, value in case.items() if key != "found"}
        hosts[name]["__model_registry_probe"] = {"stdout": json.dumps(probe)}
    found = printed(folder, ROLE, PLAYBOOK, hosts, common)
    for data in found.values():
        if "refused" not in data:
            data["modes"] = {entry["path"]: entry["mode"] for entry in data["files"]}
            data["files"] = {entry["path"]: entry["content"] for entry in data["files"]}
    return found
