#!/usr/bin/python

# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that a host's GPU driver serves the GPUs that the host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_driver_check
short_description: Prove that the driver serves all GPUs that the PCI bus has
version_added: 0.2.0
description:
  - Holds count, model and memory of the GPUs that the driver reports against the facts that were read from the PCI bus before, the
    kernel module on the disk and in memory against what was chosen, and looks for signs of faults.
  - Fails where one of them does not fit, with all reasons at once and the PCI address of each card concerned.
  - NVIDIA's cards are asked for by C(nvidia-smi), AMD's are read from C(/sys/class/kfd). It changes nothing.
extends_documentation_fragment:
  - mlops.onprem.attributes
  - mlops.onprem.attributes.info
options:
  hardware:
    description: The facts of M(mlops.onprem.hardware_facts), from before the driver was installed or changed.
    type: dict
    required: true
  vendor:
    description: Whose GPUs.
    type: str
    choices: [nvidia, amd]
    required: true
  version:
    description: Version of the driver that has to answer, as the package manager or the driver writes it.
    type: str
  branch:
    description: Branch of NVIDIA's driver that has to answer.
    type: int
  flavour:
    description: Which kernel modules of NVIDIA have to be there.
    type: str
    choices: [open, proprietary]
  container:
    description: Whether this is a container that gets its GPUs from its host. Some of them are enough there.
    type: bool
    default: false
  module:
    description: Whether a module of the driver has to be on the disk. V(false) where the kernel's own one is used.
    type: bool
    default: true
  kernel_releases:
    description: Releases of the kernels that have to have the module; the running one where it is empty.
    type: list
    elements: str
    default: []
  validation:
    description:
      - V(none) looks at the kernel module only, and asks no GPU. V(quick) compares with the PCI bus, and looks at ECC errors, at Xid messages in
        the kernel's log, at the width of each link and at the ways between the cards. V(burn) is V(quick), and O(diagnosis).
    type: str
    choices: [none, quick, burn]
    default: quick
  diagnosis:
    description: The output of C(dcgmi diag --json).
    type: str
  reboot_pending:
    description: Whether a reboot is needed and was left to people. Then the GPUs are not asked, and the verdict is V(pending).
    type: bool
    default: false
  wait:
    description: How many seconds to wait until all GPUs answer.
    type: int
    default: 0
  facts_file:
    description: The fact file that the last proof left. A card that it has and the PCI bus has no more is a failure.
    type: path
    default: /etc/ansible/facts.d/mlops_gpu.fact
  drained_file:
    description: The note of what was drained and not handed back.
    type: path
    default: /var/lib/mlops-onprem/gpu/drained.json
  root:
    description: Directory that holds the C(proc), C(sys) and C(dev) that are read; programs are run as always.
    type: path
    default: /
author:
  - The mlops.onprem authors (@mlops-onprem)
"""

EXAMPLES = r"""
- name: Know the GPUs before anything is changed
  mlops.onprem.hardware_facts:

- name: Prove that each of them answers
  mlops.onprem.gpu_driver_check:
    hardware: "{{ ansible_facts['mlops_hardware'] }}"
    vendor: nvidia
    branch: 580
    flavour: open
"""

RETURN = r"""
verdict:
  description: V(pass), V(unknown) where something could not be seen, V(pending) where a reboot is needed, or V(fail).
  returned: always
  type: str
  sample: pass
rows:
  description: One for each thing that was looked at, with check, gpu (PCI address), verdict, found, required and remedy.
  returned: always
  type: list
  elements: dict
lines:
  description: The rows for people, the worst first.
  returned: always
  type: list
  elements: str
driver:
  description: The driver that answers.
  returned: always
  type: dict
  contains:
    version: {description: Its version., type: str, returned: always, sample: 580.178.04}
    flavour: {description: V(open) or V(proprietary)., type: str, returned: always, sample: open}
    cuda_version: {description: The newest CUDA that it knows., type: str, returned: always, sample: "13.0"}
facts:
  description: What to write into O(facts_file); V(null) where the host is not proven.
  returned: always
  type: dict
facts_differ:
  description: Whether RV(facts) are others than those in O(facts_file).
  returned: always
  type: bool
last:
  description: The content of O(facts_file), V(null) where there is none.
  returned: always
  type: dict
drained:
  description: Names of the hooks by which this host was drained and not yet handed back.
  returned: always
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import host_kernel, proof_kernel_log, proof_record
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import ask
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_check import Host, Wanted, check
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, failures
from ansible_collections.mlops.onprem.plugins.module_utils.hardware import nvidia_smi, system
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

# The first question after a start initialises each card, and eight of them take their time.
SMI_SECONDS = 120
OPTIONS: dict[str, Any] = {
    "hardware": {"type": "dict", "required": True},
    "vendor": {"type": "str", "choices": ["nvidia", "amd"], "required": True},
    "version": {"type": "str"},
    "branch": {"type": "int"},
    "flavour": {"type": "str", "choices": ["open", "proprietary"]},
    "container": {"type": "bool", "default": False},
    "module": {"type": "bool", "default": True},
    "kernel_releases": {"type": "list", "elements": "str", "default": []},
    "validation": {"type": "str", "choices": ["none", "quick", "burn"], "default": "quick"},
    "diagnosis": {"type": "str"},
    "reboot_pending": {"type": "bool", "default": False},
    "wait": {"type": "int", "default": 0},
    "facts_file": {"type": "path", "default": proof_record.FACTS},
    "drained_file": {"type": "path", "default": proof_record.DRAINED},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    options = module.params
    tree = Tree(options.pop("root"))
    drained = proof_record.drained(Tree(), options.pop("drained_file"))
    running = system.kernel_of(tree.text("/proc/version"), tree.text("/proc/sys/kernel/osrelease"))
    wanted = Wanted(**{**options, "running": running})
    host = Host(
        tree=tree,
        files=Tree(),
        ask=lambda arguments: nvidia_smi.ask(SMI_SECONDS, arguments),
        modules=lambda: host_kernel.modules(Tree(), ask),
        kernel_log=lambda: proof_kernel_log.read(tree.root.rstrip("/") + proof_kernel_log.KMSG),
    )
    result = check(wanted, host)
    result["facts_differ"] = result["facts"] is not None and result["facts"] != result["last"]
    result["drained"] = drained
    if result["verdict"] == FAIL:
        module.fail_json(msg=failures(result["rows"]), changed=False, **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
