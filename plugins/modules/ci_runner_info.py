#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has for CI runners."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ci_runner_info
short_description: GPUs, slots and registrations of a host for CI jobs
version_added: 0.2.0
extends_documentation_fragment:
  - mlops.onprem.attributes
  - mlops.onprem.attributes.info
description:
  - Reads what the role P(mlops.onprem.ci_runner#role) plans with. Returns no token.
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  work_dir:
    description: The folder of the slots.
    type: path
    default: /var/lib/mlops-ci
  app_dir:
    description: The folder of the runner's program, with its versions and the link C(current).
    type: path
    required: true
  hardware:
    description: Whether GPUs are looked for.
    type: bool
    default: true
attributes:
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: Look at a host
  mlops.onprem.ci_runner_info:
    app_dir: /opt/mlops-ci/gitlab
  register: host
"""

RETURN = r"""
gpus:
  description: The accelerators as in M(mlops.onprem.hardware_facts), each with C(nodes), its own device files.
  type: list
  elements: dict
  returned: always
slots:
  description: The slots on the host by name, each with C(id), C(uuid), C(name), C(url) or C(address) of its registration with GitHub or Gitea.
  type: dict
  returned: always
installed: {description: The version that C(current) points to., type: str, returned: always}
gpu_jobs: {description: Whether a process has a GPU open., type: bool, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.ci import host_look


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "work_dir": {"type": "path", "default": "/var/lib/mlops-ci"},
            "app_dir": {"type": "path", "required": True},
            "hardware": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    module.exit_json(
        changed=False,
        gpus=host_look.gpus("/") if options["hardware"] else [],
        slots=host_look.slots(options["work_dir"]),
        installed=host_look.installed(options["app_dir"]),
        gpu_jobs=host_look.gpu_jobs(),
    )


if __name__ == "__main__":
    main()
