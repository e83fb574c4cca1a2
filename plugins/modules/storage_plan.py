#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a host's disks: what is there, what is wanted, what would have to be done, and what must not be."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_plan
short_description: Plan arrays, volumes, file systems and mounts without touching them
version_added: 0.1.0
extends_documentation_fragment:
  - mlops.onprem.attributes
description:
  - Reads what a host's disks hold, compares it with the wanted pools, and returns the steps from one to the other, for tasks to do.
  - Fails, with all reasons at once, where a step would destroy data, where something that exists differs, or where the input cannot work.
  - Writes nothing to any disk. Outside of check mode it notes in O(journal) what the steps are about to make, so that an interrupted run is
    completed by the next.
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  pools:
    description: Disks and what is made of them; the same as C(storage_pools) of the role P(mlops.onprem.storage#role).
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the pool., type: str, required: true}
      devices: {description: The disks., type: list, elements: raw, required: true}
      raid:
        description: An array of the disks.
        type: dict
        suboptions:
          level: {description: Level., type: int, required: true, choices: [0, 1, 5, 6, 10]}
          spares: {description: How many disks wait for one to fail., type: int, default: 0}
          chunk_size: {description: Stripe unit., type: str}
      thin_pool_size: {description: Size of the pool of thin volumes., type: str}
      volumes:
        description: Logical volumes.
        type: list
        elements: dict
        suboptions:
          name: {description: Name., type: str, required: true}
          size: {description: "Size, V(60%) or V(rest).", type: str, required: true}
          layout: {description: How it lies on the disks., type: str, default: linear, choices: [linear, striped, thin]}
          overcommit: {description: Whether thin volumes may promise more than there is., type: bool, default: false}
          filesystem: {description: File system., type: str, default: xfs, choices: [xfs, ext4]}
          mkfs_options: {description: Other options of mkfs., type: list, elements: str, default: []}
          mount: {description: Mount point., type: path, required: true}
          mount_options: {description: Other mount options., type: list, elements: str, default: []}
      filesystem: {description: File system of a pool without volumes., type: str, default: xfs, choices: [xfs, ext4]}
      mkfs_options: {description: Other options of mkfs., type: list, elements: str, default: []}
      mount: {description: Mount point of a pool without volumes., type: path}
      mount_options: {description: Other mount options., type: list, elements: str, default: []}
  allow_destroy:
    description: Whether disks that are named, and not in use, lose the signatures that are on them.
    type: bool
    default: false
  state:
    description: V(absent) plans the removal of the mounts, and with O(remove_data) and O(allow_destroy) of all the rest.
    type: str
    choices: [present, absent]
    default: present
  remove_data:
    description: With O(state=absent) and O(allow_destroy), whether volumes, arrays and signatures are removed, too.
    type: bool
    default: false
  directories:
    description: Directories above the pools; the same as C(storage_directories) of the role. Those on pools that are not mounted yet count as missing.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: str, required: true}
      owner: {description: Name or number of the user., type: str, default: root}
      group: {description: Name or number of the group., type: str, default: root}
      mode: {description: Four octal digits., type: str, default: "0755"}
      quota: {description: "The most that all below it may take, as V(2 TiB); empty for none.", type: str, default: ""}
      immutable: {description: Whether nothing in it can be changed., type: bool, default: false}
      retention: {description: "After how long files go that nobody used, as V(30d); empty for never.", type: str, default: ""}
  group:
    description: A group that the role makes; empty for none.
    type: str
    default: ""
  gid:
    description: The number of O(group).
    type: int
    default: 0
  exports:
    description: What this host exports by NFS; the same as C(storage_exports) of the role.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Directory., type: str, required: true}
      clients: {description: "Networks, addresses or names.", type: list, elements: str, required: true}
      access: {description: Whether clients may write., type: str, choices: [ro, rw], default: rw}
      squash: {description: Whose rights clients lose., type: str, choices: [root, all, none], default: root}
      security: {description: Kinds of login., type: list, elements: str, default: [sys]}
      options: {description: Other options of exports(5)., type: list, elements: str, default: []}
  nfs_versions:
    description: Versions that are served.
    type: list
    elements: str
    default: ["4.2"]
  nfs_listen_addresses:
    description: Addresses of this host that the server listens on.
    type: list
    elements: str
    default: []
  nfs_threads:
    description: Threads of the server; V(0) means 8 for each core, at least 16 and at most 256.
    type: int
    default: 0
  nfs_rdma:
    description: Whether the server offers RDMA.
    type: bool
    default: false
  mounts:
    description: File systems of other servers; the same as C(storage_mounts) of the role.
    type: list
    elements: dict
    default: []
    suboptions:
      source: {description: What is mounted., type: str, required: true}
      path: {description: Where it is mounted., type: str, required: true}
      type: {description: Type of the file system., type: str, default: nfs}
      access: {description: Whether it is mounted for writing., type: str, choices: [ro, rw], default: rw}
      version: {description: NFS version., type: str, default: "4.2"}
      nconnect: {description: TCP connections., type: int, default: 4}
      rdma: {description: Whether NFS goes over RDMA., type: bool, default: false}
      options: {description: Other mount options., type: list, elements: str, default: []}
  passes:
    description:
      - How many plans before this one had something to do, as the last one returned it. With more than eight, the module fails, since what
        the steps do has no effect then.
    type: int
    default: 0
  journal:
    description: File on the host that records what is about to be made.
    type: path
    default: /var/lib/mlops-onprem/storage/journal.json
attributes:
  check_mode:
    description: The same plan; the journal is not written.
    support: full
  diff_mode:
    description: The table of the plan is the diff.
    support: full
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: See what a disk would become
  mlops.onprem.storage_plan:
    pools:
      - name: scratch
        devices:
          - select: {kind: nvme, min_size: 1.5 TB, count: 1}
        mount: /srv/mlops/scratch
  check_mode: true
  register: plan

- name: Show it
  ansible.builtin.debug:
    var: plan.lines
"""

RETURN = r"""
rows:
  description: One for each object, with what, wanted, found and action.
  returned: success
  type: list
  elements: dict
lines:
  description: The rows as a table of text.
  returned: always
  type: list
  elements: str
steps:
  description: What has to be done, in this order. Each has kind (commands, group, volume, filesystem, mount, grow, unmount) and title.
  returned: success
  type: list
  elements: dict
problems:
  description: Why nothing may be done, each a sentence.
  returned: failure
  type: list
  elements: str
warnings_for_people:
  description: What is wrong and not mended by the steps, such as a degraded array.
  returned: success
  type: list
  elements: str
packages:
  description: What the host lacks to be looked at. There are no steps until these are installed.
  returned: success
  type: list
  elements: str
sharing:
  description:
    - What differs above the pools' file systems. Lists of what to do are C(directories), C(thaw), C(freeze), C(quotas), C(dropped), C(fstab) and
      C(remount). C(texts) has the files' contents by path, C(served) and C(exported) what the NFS server shall do.
    - Empty where the input is wrong.
  returned: always
  type: dict
show:
  description: Whether the table tells of something that is going to be done, and was not told yet.
  returned: success
  type: bool
passes:
  description: O(passes) and one more, or 0 where nothing is left to do.
  returned: success
  type: int
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.storage import (
    inputs,
    journal,
    plan_pools,
    plan_removal,
    sharing,
)
from ansible_collections.mlops.onprem.plugins.module_utils.storage.plan import Plan, lines
from ansible_collections.mlops.onprem.plugins.module_utils.storage.signatures import GROUP_MEMBER
from ansible_collections.mlops.onprem.plugins.module_utils.storage.state import Unreadable, gather

# A fresh host needs four: programs, arrays and groups, volumes and file systems, and a look at it all.
MOST_PASSES = 8
FILE_SYSTEM = {
    "filesystem": {"type": "str", "default": "xfs", "choices": ["xfs", "ext4"]},
    "mkfs_options": {"type": "list", "elements": "str", "default": []},
    "mount_options": {"type": "list", "elements": "str", "default": []},
}
VOLUME = {
    "name": {"type": "str", "required": True},
    "size": {"type": "str", "required": True},
    "layout": {"type": "str", "default": "linear", "choices": ["linear", "striped", "thin"]},
    "overcommit": {"type": "bool", "default": False},
    "mount": {"type": "path", "required": True},
    **FILE_SYSTEM,
}
RAID = {
    "level": {"type": "int", "required": True, "choices": [0, 1, 5, 6, 10]},
    "spares": {"type": "int", "default": 0},
    "chunk_size": {"type": "str"},
}
POOL = {
    "name": {"type": "str", "required": True},
    "devices": {"type": "list", "elements": "raw", "required": True},
    "raid": {"type": "dict", "options": RAID},
    "thin_pool_size": {"type": "str"},
    "volumes": {"type": "list", "elements": "dict", "options": VOLUME},
    "mount": {"type": "path"},
    **FILE_SYSTEM,
}


def _plan(module: AnsibleModule) -> Plan:
    options = module.params
    pools = options["pools"]
    wrong = inputs.problems(pools)
    if wrong or not pools:
        return Plan(problems=wrong)

    def run(arguments: list[str]) -> tuple[int, str, str]:
        code, out, err = module.run_command(arguments, environ_update={"LC_ALL": "C", "LVM_SUPPRESS_FD_WARNINGS": "1"})
        return int(code), str(out), str(err)

    mounts = [mount.rstrip("/") for pool in pools for _place, mount in inputs.mount_points(pool)]
    state = gather(run, mounts, options["journal"])
    if options["state"] == "absent":
        return plan_removal.remove(pools, state, options["remove_data"] and options["allow_destroy"])
    # The file systems that hold these are mounted with project quotas.
    quotas = [item["path"] for item in options["directories"] if item["quota"]]
    plan = plan_pools.make(pools, quotas, state, options["allow_destroy"])
    # Without lvm, nobody can say whose group a disk is in: first the programs, then the plan. In all other cases, what is wrong is told
    # before anything is installed.
    unseen = "lvm2" in plan.packages and any(
        entry.type == GROUP_MEMBER for found in state.signatures.values() for entry in found
    )
    if plan.packages and (unseen or not plan.problems) and not module.check_mode:
        return Plan(packages=plan.packages)
    return plan


def _share(options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what differs above the file systems, and the reasons to change nothing."""
    types = {
        mount["mount"].rstrip("/"): mount["filesystem"]
        for pool in options["pools"]
        for mount in (pool.get("volumes") or ([pool] if pool.get("mount") else []))
    }
    if options["state"] == "absent":
        return sharing.look(sharing.without(options), types), []
    wrong = sharing.problems(options, list(types))
    if wrong:
        return {}, wrong
    shared = sharing.look(options, types)
    return shared, shared.pop("problems")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pools": {"type": "list", "elements": "dict", "options": POOL, "default": []},
            "allow_destroy": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "remove_data": {"type": "bool", "default": False},
            "passes": {"type": "int", "default": 0, "no_log": False},
            "journal": {"type": "path", "default": journal.PATH},
            **sharing.OPTIONS,
        },
        supports_check_mode=True,
    )
    try:
        plan = _plan(module)
    except Unreadable as error:
        plan = Plan(problems=[str(error)])
    shared, wrong = _share(module.params)
    plan.problems += wrong
    plan.warnings += shared.get("warnings", [])
    for row in sharing.rows(shared, module.params) if shared else []:
        plan.row(*row)
    if not module.check_mode and module.params["pools"]:
        before = journal.read(module.params["journal"])
        after = plan.noted(before)
        if after != before:
            journal.write(module.params["journal"], after)
    table = lines(plan.rows)
    passes = module.params["passes"]
    open_steps = plan.steps or plan.packages
    if open_steps and passes >= MOST_PASSES:
        left = ", ".join(step["title"] for step in plan.steps) or ", ".join(plan.packages)
        plan.problems.append(
            f"after {passes} plans there is still something to do ({left}): find out why that has no effect"
        )
    result = {
        "rows": plan.rows,
        "lines": table,
        "steps": plan.steps,
        "warnings_for_people": plan.warnings,
        "packages": plan.packages,
        # Once before the first write, and again where a plan knows more than the one before.
        "show": bool(open_steps) or (not passes and any(row["action"] != "keep" for row in plan.rows)),
        "passes": passes + 1 if open_steps else 0,
        "sharing": shared,
    }
    if plan.problems:
        module.fail_json(
            msg="; ".join(plan.problems) + (". What was done before stays." if passes else ". Nothing was changed."),
            changed=False,
            lines=table,
            problems=plan.problems,
        )
    diff = {"before": "", "after": "\n".join(table) + "\n"} if result["show"] else {"before": "", "after": ""}
    module.exit_json(changed=False, diff=diff, **result)


if __name__ == "__main__":
    main()
