#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the kernel module of packages that are not installed yet."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_driver_trial
short_description: Build the kernel module of DKMS packages before these are installed
version_added: 0.2.0
description:
  - Unpacks the packages' sources aside and has C(dkms) build them for each kernel. A module that does not compile is thus known while the
    former driver is still there and untouched; in the midst of apt's transaction, it would leave half-installed packages behind.
  - What was built is put where the package's own installation finds and takes it, so that nothing is built twice. Remove these files (RV(archives))
    once the packages are installed.
  - Does nothing for a package without DKMS sources.
extends_documentation_fragment:
  - mlops.onprem.attributes
attributes:
  check_mode:
    support: full
    details: Nothing is built in check mode.
  diff_mode:
    support: none
options:
  packages:
    description: Words for apt (C(name=version)) of the module's packages. Taken from apt's cache where they were fetched, else fetched.
    type: list
    elements: str
    required: true
  kernels:
    description: Releases of the kernels to build for. Their headers and C(dkms) have to be installed.
    type: list
    elements: str
    required: true
  folder:
    description: Where to build, and where the log of a failed build is kept (C(trial.log)). Made where it is missing.
    type: path
    default: /var/lib/mlops-onprem/gpu
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Build the module
  mlops.onprem.gpu_driver_trial:
    packages: [nvidia-kernel-open-dkms=595.91.07-1]
    kernels: [6.1.0-57-amd64]
  register: trial
"""

RETURN = r"""
built:
  description: What was built, with C(module), C(version), C(kernels).
  type: list
  elements: dict
  returned: success
archives:
  description: Files with the built modules, for the packages' installation.
  type: list
  elements: str
  returned: success
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_trial

# dkms: the module's own configuration says that it is not for this kernel.
EXCLUDED = 77
UNTOUCHED = "The driver's packages were not touched."


class Failed(Exception):
    """Why a module was not built, in one sentence or more."""


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )


def package(word: str, work: Path) -> Path:
    """The package's file: apt's own, or fetched."""
    pattern = host_trial.package_file(word)
    found = sorted(Path(host_trial.ARCHIVES).glob(pattern))
    if not found:
        done = run(["apt-get", "-o", "APT::Sandbox::User=root", "download", word], work)
        found = sorted(work.glob(pattern))
        if not found:
            raise Failed(f"apt could not fetch {word}: {host_trial.complaint(done.stdout)}")
    return found[-1]


def build(name: str, version: str, kernels: list[str], work: Path, log: Path) -> str:
    """Build it for all kernels and return the archive. Nothing is registered with the host's own DKMS."""
    place = ["-m", name, "-v", version, "--dkmstree", f"{work}/tree", "--sourcetree", f"{work}/usr/src"]
    (work / "tree").mkdir(exist_ok=True)
    done = run(["dkms", "add", *place], work)
    if done.returncode != 0:
        raise Failed(f"dkms does not know {name} {version}: {host_trial.complaint(done.stdout)}")
    for kernel in kernels:
        done = run(["dkms", "build", *place, "-k", kernel], work)
        if done.returncode == EXCLUDED:
            raise Failed(f"{name} {version} is not made for the kernel {kernel}: {host_trial.complaint(done.stdout)}")
        if done.returncode != 0:
            make = work / "tree" / name / version / "build" / "make.log"
            text = make.read_text(errors="replace") if make.is_file() else done.stdout
            log.write_text(text)
            raise Failed(
                f"{name} {version} does not compile for the kernel {kernel}: {host_trial.complaint(text.replace(f'{make.parent}/', ''))} "
                f"(all of it is in {log} on the host). Choose another branch, version or flavour, or boot another kernel."
            )
    archive = Path(host_trial.archive(name, version))
    archive.parent.mkdir(parents=True, exist_ok=True)
    words = [word for kernel in kernels for word in ("-k", kernel)]
    done = run(["dkms", "mktarball", *place, *words, "--binaries-only", "--archive", str(archive)], work)
    if done.returncode != 0:
        archive.unlink(missing_ok=True)
        raise Failed(f"dkms could not pack {name} {version}: {host_trial.complaint(done.stdout)}")
    return str(archive)


def trial(params: dict[str, Any], work: Path, log: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Unpack, build and pack all of it."""
    for word in params["packages"]:
        done = run(["dpkg-deb", "--extract", str(package(word, work)), str(work)], work)
        if done.returncode != 0:
            raise Failed(f"{word} could not be unpacked: {host_trial.complaint(done.stdout)}")
    built, archives = [], []
    for conf in sorted(work.glob("usr/src/*/dkms.conf")):
        names = host_trial.named(conf.read_text(errors="replace"))
        # Where the name is computed, the package's installation builds it.
        if names:
            archives.append(build(*names, params["kernels"], work, log))
            built.append({"module": names[0], "version": names[1], "kernels": params["kernels"]})
    return built, archives


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "kernels": {"type": "list", "elements": "str", "required": True},
            "folder": {"type": "path", "default": "/var/lib/mlops-onprem/gpu"},
        },
        supports_check_mode=True,
    )
    if module.check_mode or not module.params["kernels"]:
        module.exit_json(changed=False, built=[], archives=[])
    folder = Path(module.params["folder"])
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    work = folder / "trial"
    log = folder / "trial.log"
    lock = os.open(folder, os.O_RDONLY)
    try:
        # A lost run's build may go on here for minutes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(work, ignore_errors=True)
        log.unlink(missing_ok=True)
        work.mkdir(mode=0o700)
        built, archives = trial(module.params, work, log)
    except Failed as error:
        module.fail_json(msg=f"{error} {UNTOUCHED}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)
    module.exit_json(changed=bool(archives), built=built, archives=archives)


if __name__ == "__main__":
    main()
