"""What the role would write, and what it refuses. Nothing of the role runs but its validation; what it would write is printed."""

from __future__ import annotations

import json
from pathlib import Path

from printed import ROOT, printed

ROLE = ROOT / "roles/ci_server"
# What the probe finds on a host that the role has been to.
HOST = {
    **{"user": True, "git_user": True, "secrets": [], "git_key": "ssh-ed25519 AAAA CI builds", "repositories": []},
    **{"default_site": False, "database": {"driver": True, "error": ""}},
}

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
        - ansible.builtin.import_role: {name: mlops.onprem.ci_server, tasks_from: validate}
        - ansible.builtin.debug:
            msg:
              site: "{{ __ci_server_site }}"
              files: "{{ __ci_server_files + __ci_server_checked_files + __ci_server_git_files }}"
              secrets: "{{ __ci_server_secret_files }}"
              options: "{{ __ci_server_service_options }}"
              packages: "{{ __ci_server_packages }}"
      rescue:
        - ansible.builtin.debug:
            msg: "{{ {'refused': ansible_failed_result.msg} }}"
"""


def render(folder: Path, cases: dict[str, dict]) -> dict[str, dict]:
    """By case: `site`, `files` and `secrets` (path -> content) and more, or `refused` (the message).

    A case is the role's variables without their prefix; `found` is what the probe tells of the host.
    """
    hosts = {}
    for name, case in cases.items():
        hosts[name] = {f"ci_server_{key}": value for key, value in case.items() if key != "found"}
        hosts[name]["__ci_server_probe"] = {"stdout": json.dumps({**HOST, **case.get("found", {})})}
    common = {f"ci_server_{name}": f"a long enough {name}" for name in ("admin_password", "hook_password")}
    found = printed(folder, ROLE, PLAYBOOK, hosts, common)
    for data in found.values():
        if "refused" not in data:
            data["modes"] = {entry["path"]: entry.get("mode") for entry in data["files"] + data["secrets"]}
            data["files"] = {entry["path"]: entry["content"] for entry in data["files"]}
            data["secrets"] = {entry["path"]: entry["content"] for entry in data["secrets"]}
    return found
