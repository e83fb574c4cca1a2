#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has of a GPU driver, and of all that one depends on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_driver_info
short_description: Look at what a host has of a GPU driver, and at what one depends on
version_added: 0.2.0
description:
  - Reads kernels, their headers and modules, what is loaded and who uses it, nouveau, Secure Boot, packages with their candidates, holds,
    sources, units, files and free space, all by one execution. Changes nothing.
  - Programs of the host that are asked, each with a time limit, are C(apt-cache), C(modinfo), C(systemctl) and, with Secure Boot on, C(mokutil).
extends_documentation_fragment:
  - mlops.onprem.attributes
  - mlops.onprem.attributes.info
options:
  root:
    description:
      - Directory that holds the C(proc), C(sys) and C(run) of the machine whose hardware counts. Packages, kernels and files are those of the host.
    type: path
    default: /
  packages:
    description: Names of packages whose candidates and versions are asked for. Of those that are installed, all that belong to a driver are told.
    type: list
    elements: str
    default: []
  units:
    description: Names of units whose state is told.
    type: list
    elements: str
    default: []
  files:
    description: Paths of files whose checksum is told.
    type: list
    elements: str
    default: []
  key_files:
    description: Paths of OpenPGP keys whose fingerprints are told.
    type: list
    elements: str
    default: []
  repositories:
    description: Addresses of repositories that are wanted, to find the entries of others for the same ones.
    type: list
    elements: str
    default: []
  users:
    description: Names of users of which those that the host does not know are told.
    type: list
    elements: str
    default: []
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Look at the driver
  mlops.onprem.gpu_driver_info:
    packages: [nvidia-kernel-open-dkms, nvidia-driver-cuda]
  register: driver

- name: Show the module of the running kernel
  ansible.builtin.debug:
    var: driver.modules[driver.kernel.running]
"""

RETURN = r"""
container: {description: Whether this is a container., type: bool, returned: always}
kernel:
  description: C(running), C(installed) (those that can be booted, oldest first), C(next) (the newest of them), C(headers), C(boot_id).
  type: dict
  returned: always
modules:
  description: By kernel, the driver's module with C(name), C(path), C(version), C(license), C(flavour), C(sig_key), C(signer), C(vermagic), C(names).
  type: dict
  returned: always
loaded:
  description: The loaded module with C(name), C(version), C(flavour), C(holders), C(references). V(null) where none is.
  type: dict
  returned: always
nouveau:
  description: C(loaded), C(blacklisted), C(files), and C(initramfs), the kernels whose initramfs is older than this collection's blacklist.
  type: dict
  returned: always
secure_boot:
  description: C(enabled), C(key_path), C(key_enrolled), C(key_pending).
  type: dict
  returned: always
free_bytes: {description: Free space at C(/usr) and C(/var)., type: dict, returned: always}
processes:
  description: Who has a device of the driver open, with C(pid), C(command), C(node), C(daemon) (whether it belongs to the driver).
  type: list
  elements: dict
  returned: always
dkms:
  description: What DKMS knows of the driver, with C(module), C(version), C(kernel), C(state).
  type: list
  elements: dict
  returned: always
units: {description: "By unit, C(load), C(active) and C(enabled).", type: dict, returned: always}
files: {description: The SHA-256 of each file. V(null) where there is none., type: dict, returned: always}
key_files: {description: The fingerprints in each key file. V(null) where there is none., type: dict, returned: always}
record: {description: What the role gpu_driver noted of its changes. V(null) where it made none., type: dict, returned: always}
manager: {description: V(apt) or V(null)., type: str, returned: always}
packages: {description: Versions of installed packages by name., type: dict, returned: always}
candidates: {description: Candidates by name., type: dict, returned: always}
versions: {description: "All versions that the sources have, by name.", type: dict, returned: always}
held: {description: Packages that are held., type: list, elements: str, returned: always}
broken: {description: Packages that are not wholly installed., type: list, elements: str, returned: always}
run_file: {description: The uninstaller of NVIDIA's own installer. V(null) where it was not here., type: str, returned: always}
sources:
  description: Files of others that name the vendors' repositories, with C(file) and C(uris).
  type: list
  elements: dict
  returned: always
distribution:
  description: The other sources with C(file), C(uri), C(suite), C(components), C(signed_by).
  type: list
  elements: dict
  returned: always
parts:
  description:
    - What the parts need to know, with C(docker), C(podman), C(containerd), C(groups), C(missing_users), C(texts) of files, C(pending)
      (files that were written and not read yet), C(mig_parted) and C(unlinked).
  type: dict
  returned: always
reboot: {description: What says whether a reboot is due., type: dict, returned: always}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import ask
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_state import look
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "packages": names,
            "units": names,
            "files": names,
            # Paths of public keys.
            "key_files": {**names, "no_log": False},
            "repositories": names,
            "users": names,
        },
        supports_check_mode=True,
    )
    root = module.params["root"]
    if not Path(root).is_dir():
        module.fail_json(msg=f"root: {root} is no directory on the host; give one that holds proc and sys.")
    module.exit_json(changed=False, **look(Tree(root), Tree("/"), module.params, ask))


if __name__ == "__main__":
    main()
