#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction of apt for a GPU driver: simulated and judged, fetched, and done."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_driver_transaction
short_description: Install and remove packages of a GPU driver in one transaction that was judged before
version_added: 0.2.0
description:
  - Has apt simulate installation and removal together, and refuses what moves the kernel, removes what no driver consists of, changes what
    others hold, or does not fit on the disk. Then fetches all packages, or does it, as O(stage) says.
  - M(ansible.builtin.apt) cannot install and remove in one transaction, and judges nothing.
extends_documentation_fragment:
  - mlops.onprem.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  stage:
    description:
      - V(fetch) simulates, judges, and fetches the packages, so that a server that does not answer is known before anything is removed.
      - V(install) simulates and judges again, and does it. In check mode, both only simulate.
    type: str
    choices: [fetch, install]
    required: true
  install:
    description: Words for apt, a name or C(name=version), or the path of a package.
    type: list
    elements: str
    default: []
  remove:
    description: Names of packages that go in the same transaction.
    type: list
    elements: str
    default: []
  remove_unneeded:
    description: Names of packages that go as well, unless something else would have to go with them.
    type: list
    elements: str
    default: []
  purge:
    description: Whether configuration files of what is removed go, too.
    type: bool
    default: false
  hold:
    description: Names that are held afterwards.
    type: list
    elements: str
    default: []
  own_holds:
    description: Names of which a hold is the caller's own.
    type: list
    elements: str
    default: []
  preferences:
    description: apt preferences that are in effect during the transaction, in place of the file O(preferences_path).
    type: str
    default: ""
  preferences_path:
    description: Where the caller keeps these preferences.
    type: path
    default: /etc/apt/preferences.d/mlops-onprem-gpu-driver
  reserve_bytes:
    description: What must stay free at C(/var) beside the packages, for what DKMS builds.
    type: int
    default: 0
  idle:
    description: Whether no process may have a GPU open. Looked at before V(install) only.
    type: bool
    default: false
  record:
    description: A JSON file whose C(packages) and C(holds) get what this transaction brings, before it begins.
    type: path
  lock_timeout:
    description: Seconds to wait for another package manager.
    type: int
    default: 300
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: See that the driver can be installed, and fetch it
  mlops.onprem.gpu_driver_transaction:
    stage: fetch
    install: [nvidia-kernel-open-dkms=595.91.07-1, nvidia-driver-cuda=595.91.07-1]
    remove: [nvidia-kernel-dkms]

- name: Install it
  mlops.onprem.gpu_driver_transaction:
    stage: install
    install: [nvidia-kernel-open-dkms=595.91.07-1, nvidia-driver-cuda=595.91.07-1]
    remove: [nvidia-kernel-dkms]
    hold: [nvidia-kernel-open-dkms, nvidia-driver-cuda]
"""

RETURN = r"""
installed: {description: New packages with their versions., type: dict, returned: always}
upgraded: {description: "Packages that change, with the old and the new version.", type: dict, returned: always}
removed: {description: Packages that go., type: dict, returned: always}
lines: {description: The same for people., type: list, elements: str, returned: always}
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_transaction, host_use
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

PREFERENCES = Path("/etc/apt/preferences.d")
POLICY = Path("/usr/sbin/policy-rc.d")
# 101 is a policy's "action forbidden": services start when they are configured, and not by their installation.
POLICY_TEXT = "#!/bin/sh\n# mlops.onprem gpu_driver: only while packages are installed\nexit 101\n"
MIB = 2**20


class Apt:
    """apt-get with the pins and options of this transaction."""

    def __init__(self, module: AnsibleModule, folder: str) -> None:
        self.module, self.folder = module, folder
        params = module.params
        self.remove = [*params["remove"], *params["remove_unneeded"]]
        # Links, so that other pins of the host count as they do otherwise.
        own = Path(params["preferences_path"])
        for path in sorted(PREFERENCES.glob("*")) if PREFERENCES.is_dir() else []:
            if path != own:
                (Path(folder) / path.name).symlink_to(path)
        if params["preferences"]:
            (Path(folder) / own.name).write_text(params["preferences"])
        # apt reads the lists as another user.
        Path(folder).chmod(0o755)

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        params = self.module.params
        command = [
            *("apt-get", "--yes", "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages"),
            *("-o", f"Dir::Etc::PreferencesParts={self.folder}", "-o", f"DPkg::Lock::Timeout={params['lock_timeout']}"),
            *("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"),
            *(["--purge"] if params["purge"] else []),
            *options,
            *("install", *params["install"], *(f"{name}-" for name in self.remove)),
        ]
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            env={
                **os.environ,
                "LC_ALL": "C",
                "DEBIAN_FRONTEND": "noninteractive",
                "APT_LISTCHANGES_FRONTEND": "none",
                "NEEDRESTART_SUSPEND": "1",
            },
        )


def held(own: list[str]) -> list[str]:
    """What is held, and not by the caller."""
    done = subprocess.run(["apt-mark", "showhold"], stdout=subprocess.PIPE, text=True, check=False)
    return [name for name in done.stdout.split() if name not in own]


def half_done() -> bool:
    """Whether an interrupted run left packages that are not configured."""
    done = subprocess.run(["dpkg", "--audit"], stdout=subprocess.PIPE, text=True, check=False)
    return bool(done.stdout.strip())


def simulate(module: AnsibleModule, apt: Apt) -> host_transaction.Changes:
    """What apt would do. Ends the module where it must not."""
    done = apt.run("--simulate")
    if set(host_transaction.parse(done.stdout).removed) - set(apt.remove):
        # Compilers, for example, that somebody else needs by now.
        apt.remove = list(module.params["remove"])
        done = apt.run("--simulate")
    if done.returncode != 0:
        module.fail_json(
            msg=f"apt cannot install {', '.join(module.params['install']) or 'nothing'}: {host_transaction.complaint(done.stdout)} "
            "Nothing was installed or removed."
        )
    changes = host_transaction.parse(done.stdout)
    names = [word.partition("=")[0] for word in module.params["install"]]
    problems = host_transaction.judge(changes, names, apt.remove, held(module.params["own_holds"]))
    if problems:
        module.fail_json(msg=f"{' '.join(problems)} Nothing was installed or removed.", lines=changes.lines())
    return changes


def refuse_users(module: AnsibleModule) -> None:
    users = [process for process in host_use.read(Tree("/")) if not process["daemon"]]
    if users:
        told = ", ".join(f"{process['command']} ({process['pid']})" for process in users[:5])
        module.fail_json(
            msg=f"The GPUs are in use by {told}. End these, then run this again. Nothing was installed or removed."
        )


def note(module: AnsibleModule, changes: host_transaction.Changes) -> None:
    """Add to the record what is about to be brought: a run that is cut off must not forget what it made."""
    path = Path(module.params["record"])
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        record = {}
    record["state"] = "changing"
    record["packages"] = sorted({*record.get("packages", []), *changes.installed})
    record["holds"] = sorted({*record.get("holds", []), *module.params["hold"]})
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(record, indent=2) + "\n")
    Path(name).chmod(0o644)
    Path(name).replace(path)


def without_services(apt: Apt) -> subprocess.CompletedProcess[str]:
    """Do it with a policy that lets no package start a service. A policy of the site's own is left alone."""
    ours = not POLICY.exists() or POLICY.read_text(errors="replace") == POLICY_TEXT
    if ours:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        # What an interrupted run left half-done would stop apt.
        subprocess.run(
            ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        return apt.run()
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)


def fetch(module: AnsibleModule, apt: Apt) -> None:
    """Fetch all packages, and see that they fit on the disk unpacked. apt itself sees that they fit as they are."""
    done = apt.run("--download-only")
    if done.returncode != 0:
        module.fail_json(
            msg=f"apt could not fetch the packages: {host_transaction.complaint(done.stdout)} Nothing was installed or removed."
        )
    problems = []
    for place, needed in (
        ("/usr", host_transaction.unpacked_bytes(done.stdout)),
        ("/var", module.params["reserve_bytes"]),
    ):
        free = shutil.disk_usage(place).free
        if needed > free:
            problems.append(f"{place} has {free // MIB} MiB free, and the driver needs {needed // MIB} MiB there.")
    if problems:
        module.fail_json(msg=f"{' '.join(problems)} Make room, then run this again. Nothing was installed or removed.")


def do(module: AnsibleModule, apt: Apt, changes: host_transaction.Changes) -> None:
    """Install and hold. Ends the module with apt's words where it fails."""
    if module.params["idle"]:
        refuse_users(module)
    if module.params["record"]:
        note(module, changes)
    if changes.any or half_done():
        done = without_services(apt)
        if done.returncode != 0:
            module.fail_json(
                msg=f"apt ended with an error in the midst of it: {host_transaction.complaint(done.stdout)} Run this again when it is mended: "
                "it goes on from there.",
                output=done.stdout[-8000:],
            )
    if module.params["hold"]:
        subprocess.run(["apt-mark", "hold", *module.params["hold"]], stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "stage": {"type": "str", "choices": ["fetch", "install"], "required": True},
            "install": names,
            "remove": names,
            "remove_unneeded": names,
            "purge": {"type": "bool", "default": False},
            "hold": names,
            "own_holds": names,
            "preferences": {"type": "str", "default": ""},
            "preferences_path": {"type": "path", "default": "/etc/apt/preferences.d/mlops-onprem-gpu-driver"},
            "reserve_bytes": {"type": "int", "default": 0},
            "idle": {"type": "bool", "default": False},
            "record": {"type": "path"},
            "lock_timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    with tempfile.TemporaryDirectory(prefix="mlops-onprem-apt-") as folder:
        apt = Apt(module, folder)
        changes = simulate(module, apt)
        holds = [name for name in module.params["hold"] if name not in held([])]
        mends = half_done()
        if module.params["stage"] == "install" and not module.check_mode:
            do(module, apt, changes)
        elif changes.any and not module.check_mode:
            fetch(module, apt)
    lines = changes.lines()
    module.exit_json(
        # What is fetched lies in apt's cache, as it would by itself.
        changed=module.params["stage"] == "install" and bool(changes.any or holds or mends),
        installed=changes.installed,
        upgraded={name: list(versions) for name, versions in changes.changed.items()},
        removed=changes.removed,
        lines=lines,
        diff={"before": "", "after": "".join(f"{line}\n" for line in lines)},
    )


if __name__ == "__main__":
    main()
