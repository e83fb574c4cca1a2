#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CI runners on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ci_runner_host
short_description: Users, files and services of a host's CI runners, in one execution
version_added: 0.2.0
extends_documentation_fragment:
  - mlops.onprem.attributes
description:
  - Brings a host to what P(mlops.onprem.ci_runner_host#filter) returns, for any number of slots at once.
  - A file that a runner writes itself is merged, and never written where it cannot be read.
  - A runner is restarted after its job, and this does not wait for it. systemd is kept from reading its units while a job has a GPU open.
  - The options hold tokens, so B(its task wants C(no_log)).
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  wanted:
    description: What shall be there.
    type: dict
    required: true
  leftover:
    description: Slots that go.
    type: list
    elements: str
    default: []
  work_dir:
    description: The folder of the slots.
    type: path
    default: /var/lib/mlops-ci
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: The files without tokens.
    support: full
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: Bring the host to it
  mlops.onprem.ci_runner_host:
    wanted: "{{ plan.slots | mlops.onprem.ci_runner_host(options, secrets, scripts) }}"
  no_log: true
"""

RETURN = r"""
done: {description: "What was done, or would be, in phrases.", type: list, elements: str, returned: always}
deferred: {description: What waits for jobs to end., type: list, elements: str, returned: always}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.ci import host_look
from ansible_collections.mlops.onprem.plugins.module_utils.ci.host_apply import Failed, Host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "dict", "required": True},
            "leftover": {"type": "list", "elements": "str", "default": []},
            "work_dir": {"type": "path", "default": "/var/lib/mlops-ci"},
        },
        supports_check_mode=True,
    )

    def run(argv: list[str]) -> tuple[int, str]:
        code, out, err = module.run_command(argv)
        return code, out + err

    options = module.params
    host = Host(run, module.check_mode, host_look.gpu_jobs)
    try:
        outcome = host.apply(options["wanted"], options["leftover"], options["work_dir"])
    except (Failed, OSError) as error:
        done = host.outcome.done
        module.fail_json(
            msg=f"{error}. Done before: {', '.join(done) or 'nothing'}", done=done, deferred=host.outcome.deferred
        )
    else:
        module.exit_json(changed=bool(outcome.done), done=outcome.done, deferred=outcome.deferred, diff=outcome.diffs)


if __name__ == "__main__":
    main()
