#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runners on a forge's side."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ci_runner_registration
short_description: Runners of GitLab, GitHub, Forgejo, Gitea and Buildbot on the server's side
version_added: 0.2.0
extends_documentation_fragment:
  - mlops.onprem.attributes
description:
  - Asks a forge for its runners, and makes, changes, drains or deletes those that are listed, and no others. Runs where the API is reached,
    as a rule on the controller.
  - Stores nothing. Tokens that a forge shows once are in C(tokens), so B(a task that makes runners wants C(no_log)), and whoever runs it has
    to keep them before they are used.
  - A call is repeated a bounded number of times where that is safe, and waits as long as a Retry-After says, up to O(patience).
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  provider:
    description: Which forge.
    type: str
    choices: [gitlab, github, forgejo, gitea, buildbot]
    required: true
  url:
    description: Its address.
    type: str
    required: true
  scope:
    description:
      - Whom the runners belong to. V(instance), V(group:NUMBER) and V(project:NUMBER) with GitLab; V(org:NAME), V(repo:OWNER/NAME) and
        V(enterprise:NAME) with GitHub; V(instance), V(org:NAME), V(repo:OWNER/NAME) and V(user) with Forgejo and Gitea.
    type: str
    default: instance
  api_token:
    description: What the API is asked with. C(USER:PASSWORD) with Buildbot; empty there for a master that shows its workers to everybody.
    type: str
    default: ""
  ca:
    description: CA certificates of the forge, as a path. Those of the computer where it is not given.
    type: path
  runners:
    description: The runners this is about.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Its name at the forge., type: str, required: true}
      labels: {description: "Its labels, or tags.", type: list, elements: str, default: []}
      known: {description: "C(id), C(uuid) and C(token) from an earlier run.", type: dict, default: {}}
      registered: {description: Whether its host has been registered with GitHub or Gitea., type: bool, default: false}
      more:
        description: "GitLab only: C(run_untagged), C(locked), C(access_level), C(maximum_timeout). What is not given stays."
        type: dict
        default: {}
  state:
    description:
      - V(present) makes and changes. V(absent) deletes. V(drained) has them take no more jobs and waits for those that run.
        V(online) waits until the server says that they are online, and changes nothing.
    type: str
    choices: [present, absent, drained, online]
    default: present
  recreate:
    description: Whether a runner that somebody deleted on the server, or whose token is lost, is made anew.
    type: bool
    default: false
  wait:
    description: How many seconds V(drained) and V(online) wait.
    type: int
    default: 0
  timeout:
    description: How many seconds one call may take.
    type: int
    default: 15
  retries:
    description: How often a call is repeated.
    type: int
    default: 3
  patience:
    description: For how many seconds in all it is waited between repetitions.
    type: int
    default: 60
attributes:
  check_mode:
    description: Asks and plans; changes nothing.
    support: full
  diff_mode:
    description: The list of what is done.
    support: full
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: Have a runner at GitLab
  mlops.onprem.ci_runner_registration:
    provider: gitlab
    url: https://git.example.com
    scope: group:42
    api_token: "{{ vault_gitlab_token }}"
    runners:
      - {name: node1-gpu0, labels: [gpu, h100], more: {run_untagged: false}}
  delegate_to: localhost
  no_log: true
  register: registration
"""

RETURN = r"""
done:
  description: What was done, or would be in check mode, each a phrase.
  returned: success
  type: list
  elements: str
tokens:
  description:
    - By name, what a forge shows once, C(id), C(uuid), C(token), and C(registration), a token of an hour that the host registers itself with.
    - Also returned on failure, for those that were made before it.
  returned: always
  type: dict
runners:
  description: By name, what the server says, C(id), C(uuid), C(status), C(online), C(busy), C(paused). Without those that it does not have.
  returned: success
  type: dict
offline:
  description: Names of runners that the server does not call online.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.ci import registration, tokens
from ansible_collections.mlops.onprem.plugins.module_utils.ci.forges import forge
from ansible_collections.mlops.onprem.plugins.module_utils.ci.problem import Problem
from ansible_collections.mlops.onprem.plugins.module_utils.ci.registration import Result
from ansible_collections.mlops.onprem.plugins.module_utils.ci.runner import Wanted

RUNNER = {
    "name": {"type": "str", "required": True},
    "labels": {"type": "list", "elements": "str", "default": []},
    # Not hidden as a whole: numbers and UUIDs are what people look for. The token in it is hidden below.
    "known": {"type": "dict", "default": {}, "no_log": False},
    "registered": {"type": "bool", "default": False},
    "more": {"type": "dict", "default": {}},
}


def _run(options: dict[str, Any], check: bool) -> Result:
    wanted = [
        Wanted(
            one["name"],
            one["labels"],
            {key: str(value) for key, value in one["known"].items() if value},
            one["registered"],
            one["more"],
        )
        for one in options["runners"]
    ]
    http = {key: options[key] for key in ("ca", "timeout", "retries", "patience")}
    api = forge(options["provider"], options["url"], options["scope"], options["api_token"], **http)
    if options["state"] == "present":
        return registration.provide(api, wanted, options["recreate"], check)
    if options["state"] == "absent":
        return registration.remove(api, wanted, check)
    if options["state"] == "drained":
        return registration.drain(api, wanted, check, options["wait"])
    return registration.online(api, wanted, options["wait"])


def _tokens(result: Result) -> dict[str, dict[str, str]]:
    return {
        name: {"id": made.id, "uuid": made.uuid, "token": made.token, "registration": made.registration}
        for name, made in result.made.items()
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "provider": {
                "type": "str",
                "choices": ["gitlab", "github", "forgejo", "gitea", "buildbot"],
                "required": True,
            },
            "url": {"type": "str", "required": True},
            "scope": {"type": "str", "default": "instance"},
            "api_token": {"type": "str", "default": "", "no_log": True},
            "ca": {"type": "path"},
            "runners": {"type": "list", "elements": "dict", "options": RUNNER, "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "drained", "online"], "default": "present"},
            "recreate": {"type": "bool", "default": False},
            "wait": {"type": "int", "default": 0},
            "timeout": {"type": "int", "default": 15},
            "retries": {"type": "int", "default": 3},
            "patience": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = module.params
    module.no_log_values.update(str(one["known"]["token"]) for one in options["runners"] if one["known"].get("token"))
    problem = tokens.api_problem(options["provider"], options["api_token"])
    if problem:
        module.fail_json(msg=problem, tokens={})
    try:
        result = _run(options, module.check_mode)
    except Problem as error:
        module.fail_json(msg=str(error), kind=error.kind, status=error.status, tokens={})
    else:
        done = [step.text for step in result.steps]
        if result.refused:
            module.fail_json(msg="; ".join(result.refused), tokens=_tokens(result))
        module.exit_json(
            changed=bool(done),
            done=done,
            tokens=_tokens(result),
            runners={
                name: {
                    "id": one.id,
                    "uuid": one.uuid,
                    "status": one.status,
                    "online": one.online,
                    "busy": one.busy,
                    "paused": one.paused,
                }
                for name, one in result.runners.items()
            },
            offline=[
                one["name"]
                for one in options["runners"]
                if not (one["name"] in result.runners and result.runners[one["name"]].online)
            ],
            diff={"prepared": "".join(f"{line}\n" for line in done)},
        )


if __name__ == "__main__":
    main()
