#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge hosts and write the report."""

from __future__ import annotations

DOCUMENTATION = r"""
module: assessment_report
short_description: Judge hosts by requirements and write the report
version_added: 0.2.0
extends_documentation_fragment:
  - mlops.onprem.assessment
description:
  - Does what M(mlops.onprem.sizing_check) does, and writes C(index.html), C(report.json) and C(report.csv) on the controller.
  - Hosts may come from this run, from snapshots of an earlier one, and from plans for hosts that are not there yet.
  - Meant to run once, on the controller. Nothing on a managed host is read or changed.
  - Facts of snapshots are read host by host and not kept, so thousands of hosts need little memory.
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  report_dir:
    description: Folder to write into; it is made where it is missing.
    type: path
    required: true
  language:
    description: Language of the page. Data files keep their keys, and the verdicts' texts are English there.
    type: str
    choices: [en, de]
    default: en
  hosts:
    description:
      - What is known of each host of this run, by its name, with C(facts), C(profiles), C(error) as M(mlops.onprem.sizing_check) takes
        them, C(survey) (the value of C(ansible_facts.mlops_survey), or null), and C(ports) (those that services will listen on, each
        with the service's name, or with C(role) and C(programs), the names of its own processes).
    type: dict
    default: {}
  snapshot_dir:
    description: Folder with snapshots of further hosts.
    type: path
  save_dir:
    description: Folder to save a snapshot of each host in; it is made where it is missing.
    type: path
  planned_hosts:
    description:
      - Hosts that are not there yet, each with C(name), and what is known of C(count), C(profiles), C(architecture), C(threads),
        C(memory_gib), C(gpus), C(gpu_class_gb), C(network_gbps), C(storage_tb) and C(storage_at).
    type: list
    elements: dict
    default: []
  flows:
    description: Who has to reach whom, each with C(from) (hosts), C(to), C(port), and if wanted C(address), C(why) and C(required).
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Judges the same, and writes nothing.
    support: full
  diff_mode:
    description: Has no diff; a report is read, not compared.
    support: none
"""

EXAMPLES = r"""
- name: Judge hosts that were read last week, and two that shall be bought
  mlops.onprem.assessment_report:
    report_dir: /srv/reports/plan
    snapshot_dir: /srv/snapshots
    planned_hosts:
      - {name: gpu, count: 2, profiles: [base], gpus: 8, gpu_class_gb: 141, memory_gib: 2048, threads: 192}
    requirements:
      - {id: base.memory, profiles: [base], fact: memory.total_bytes, operator: ">=", value: 4, unit: GiB}
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
index:
  description: The page.
  returned: when the data is valid
  type: str
  sample: /srv/reports/plan/index.html
summary:
  description: How many rows have each status, and how many are waived.
  returned: when the data is valid
  type: dict
  sample: {fail: 1, warn: 0, unknown: 0, pass: 11, skipped: 2, waived: 0}
blocking:
  description: The rows that block at this O(gate), as M(mlops.onprem.sizing_check) returns rows. All rows are in C(report.json).
  returned: when the data is valid
  type: list
  elements: dict
message:
  description: All blocking rows in words; empty where nothing blocks.
  returned: when the data is valid
  type: str
lines:
  description: All rows as a table of text.
  returned: when the data is valid
  type: list
  elements: str
purchases:
  description: What to buy, as M(mlops.onprem.sizing_check) returns it.
  returned: when the data is valid
  type: list
  elements: dict
"""

import contextlib
import datetime
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.report import write
from ansible_collections.mlops.onprem.plugins.module_utils.report.snapshots import Snapshots
from ansible_collections.mlops.onprem.plugins.module_utils.sizing import arguments, planned
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "report_dir": {"type": "path", "required": True},
            "language": {"type": "str", "choices": ["en", "de"], "default": "en"},
            "hosts": {"type": "dict", "default": {}},
            "snapshot_dir": {"type": "path"},
            "save_dir": {"type": "path"},
            "planned_hosts": {"type": "list", "elements": "dict", "default": []},
            "flows": {"type": "list", "elements": "dict", "default": []},
            **arguments.arguments(),
        },
        supports_check_mode=True,
    )
    options = module.params
    target = Path(options["report_dir"])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if module.check_mode else target
        save_to = Path(options["save_dir"]) if options["save_dir"] and not module.check_mode else None
        made: list[Path] = []
        try:
            stored = Snapshots(Path(options["snapshot_dir"])) if options["snapshot_dir"] else {}
            hosts = write.Hosts(options["hosts"], stored, planned.planned_hosts(options["planned_hosts"]))
            for place in (folder, save_to):
                if place is not None and not place.is_dir():
                    place.mkdir(mode=0o755, parents=True)
                    made.append(place)
            result = write.write(
                folder,
                hosts,
                arguments.as_keywords(options),
                language=options["language"],
                when=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                flows=options["flows"],
                save_to=save_to,
            )
        except DataError as error:
            for place in made:
                # Bad data leaves no trace; a folder that got a file after all is kept.
                with contextlib.suppress(OSError):
                    place.rmdir()
            module.fail_json(msg=str(error))
        except OSError as error:
            module.fail_json(
                msg=f"the report cannot be written: {error.filename or target}: {error.strerror}. Make the folder writable, "
                "free space on its file system, or name another one (report_dir; preflight_report_dir in the role)."
            )
    kept = ("summary", "blocking", "message", "lines", "purchases")
    module.exit_json(
        changed=not module.check_mode, index=str(target / "index.html"), **{key: result[key] for key in kept}
    )


if __name__ == "__main__":
    main()
