"""The registry on the platform's own object store, or on the one that the company has: what the wiring makes of the groups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STORE = """
object_store:
  hosts:
    store1:
    store2:
    store3:
  vars:
    object_store_server_name: s3.example.test
    object_store_users:
      - {name: readers, read: [mlflow]}
      - {name: writers, access_key: KEY, write: [scratch, mlflow]}
"""
EXTERNAL = """
object_store:
  hosts:
    store1:
all:
  vars:
    object_store_kind: external
    object_store_external: {url: "https://s3.example.test", bucket: b, access_key: k, secret_key: s, versioning: false}
"""
REGISTRY = """
model_registry:
  hosts:
    registry1:
    registry2:
"""
ASKED = """
  vars:
    model_registry_artifacts_s3: "{{ mlops_registry_bucket }}"
"""


def variables(folder: Path, inventory: str) -> dict:
    """Of the first registry, as the collection's playbooks see them."""
    secrets = folder / ".mlops/secrets"
    secrets.mkdir(parents=True)
    (secrets / "object_store_user_writers").write_text("generated\n")
    (folder / "hosts.yml").write_text(inventory)
    (folder / "group_vars").symlink_to(ROOT / "playbooks/group_vars")
    play = """
- hosts: registry1
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: {servers: "{{ model_registry_servers }}", s3: "{{ model_registry_artifacts_s3 | default({}) }}"}
"""
    (folder / "play.yml").write_text(play)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build/collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = ["ansible-playbook", "-i", "hosts.yml", "play.yml"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    tasks = json.loads(run.stdout[run.stdout.index("{") :])["plays"][0]["tasks"]
    return tasks[-1]["hosts"]["registry1"]["msg"]


@pytest.mark.parametrize("asked", [False, True])
def test_the_own_store_is_used_when_it_is_asked_for(tmp_path, asked):
    found = variables(tmp_path, STORE + REGISTRY + (ASKED if asked else ""))
    assert found["servers"] == ["registry1", "registry2"]
    own = {
        **{"endpoint": "https://s3.example.test:8333", "bucket": "mlflow", "access_key": "KEY"},
        **{"secret_key": "generated", "ca": f"{tmp_path}/.mlops/secrets/ca/ca.pem"},
    }
    assert found["s3"] == (own if asked else {})


def test_the_company_s_store_is_the_one_that_was_tried(tmp_path):
    found = variables(tmp_path, EXTERNAL + REGISTRY + ASKED)["s3"]
    assert found == {
        **{"endpoint": "https://s3.example.test", "bucket": "b", "access_key": "k", "secret_key": "s"},
        **{"region": "us-east-1", "ca": "", "versioning": False},
    }
