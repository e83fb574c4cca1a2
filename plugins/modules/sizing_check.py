#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the hardware facts of many hosts by requirements that are data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sizing_check
short_description: Judge hardware facts by requirements
version_added: 0.1.0
extends_documentation_fragment:
  - mlops.onprem.assessment
description:
  - Compares the facts that M(mlops.onprem.hardware_facts) read on all hosts with requirements, and returns one row for each
    requirement and host.
  - Meant to run once, on the controller, over all hosts. It reads nothing but its parameters and changes nothing.
  - A fact that could not be read gives the status V(unknown), never V(pass).
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  hosts:
    description:
      - What is known of each host, by its name.
      - Each has C(facts) (the value of C(ansible_facts.mlops_hardware), or null where there is none), C(profiles) (which
        requirements it must meet) and C(error) (why there are no facts; empty where there are).
    type: dict
    required: true
  fail_on:
    description: Fail, with all rows returned, when a row that is not waived has one of these.
    type: list
    elements: str
    choices: [fail, warn, unknown]
    default: []
attributes:
  check_mode:
    description: Runs the same in check mode.
    support: full
  diff_mode:
    description: Has no diff, since nothing changes.
    support: none
"""

EXAMPLES = r"""
- name: Judge two hosts
  mlops.onprem.sizing_check:
    hosts:
      gpu1:
        facts: "{{ hostvars['gpu1'].ansible_facts['mlops_hardware'] }}"
        profiles: [base]
      gpu2:
        facts:
        profiles: [base]
        error: No route to host
    requirements:
      - id: base.memory
        profiles: [base]
        fact: memory.total_bytes
        operator: ">="
        value: 4
        unit: GiB
        tolerance_percent: 7
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
rows:
  description:
    - One for each requirement and host, with host, check, title, status (pass, warn, fail, unknown, skipped), severity, required,
      found, short_by, evidence, why, remedy, amounts (needed and there, or null), purchase (what would mend it, or null), waived_by
      (empty, or the reason), simulated, planned, and host_error (why the host as a whole could not be read).
  returned: when the requirements and waivers are valid
  type: list
  elements: dict
summary:
  description: How many rows have each status, and how many are waived.
  returned: when the requirements and waivers are valid
  type: dict
  sample: {fail: 1, warn: 0, unknown: 0, pass: 11, skipped: 2, waived: 0}
blocking:
  description: The rows that block at this O(gate).
  returned: when the requirements and waivers are valid
  type: list
  elements: dict
message:
  description: All blocking rows in words, failed requirements apart from what could not be read; empty where nothing blocks.
  returned: when the requirements and waivers are valid
  type: str
lines:
  description: All rows as a table of text.
  returned: when the requirements and waivers are valid
  type: list
  elements: str
purchases:
  description:
    - What to buy, one entry for each thing and place, with host, item (gpu, memory, dimm, nic, storage, server), its amount, checks (the
      ids that ask for it) and severity (fail or warn).
  returned: when the requirements and waivers are valid
  type: list
  elements: dict
workloads:
  description: What each workload needs, as the filter P(mlops.onprem.workload_requirements#filter) returns it.
  returned: when the requirements and waivers are valid
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import arguments, assessment
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "hosts": {"type": "dict", "required": True},
            "fail_on": {"type": "list", "elements": "str", "choices": ["fail", "warn", "unknown"], "default": []},
            **arguments.arguments(),
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        result = assessment.assess(options["hosts"], **arguments.as_keywords(options))
    except DataError as error:
        module.fail_json(msg=str(error))
    unmet = [row for row in result["rows"] if row["status"] in options["fail_on"] and not row["waived_by"]]
    if unmet:
        module.fail_json(msg=f"{len(unmet)} checks are {' or '.join(options['fail_on'])}", changed=False, **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
