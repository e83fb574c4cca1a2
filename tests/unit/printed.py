"""A role's variables as a host would see them: one run of Ansible on this computer for all cases, each a host of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def printed(
    folder: Path, role: Path, playbook: str, hosts: dict[str, dict[str, Any]], common: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """By host, what the playbook prints of it as a mapping.

    folder: empty; the playbook runs there, beside the role's templates and files. common: variables of all hosts.
    """
    for name in ("templates", "files"):
        (folder / name).symlink_to(role / name)
    (folder / "play.yml").write_text(playbook)
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **common}
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
    assert set(found) == set(hosts), run.stdout[-4000:] + run.stderr[-2000:]
    return found
