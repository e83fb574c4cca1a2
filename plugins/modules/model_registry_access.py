#!/usr/bin/python
# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, roles and grants of an MLflow registry, as they are listed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_registry_access
short_description: Users, roles and grants of an MLflow registry
version_added: 0.2.0
extends_documentation_fragment:
  - mlops.onprem.attributes
description:
  - Reads who is in a registry of MLflow 3 with its own logins (basic-auth), and does what is missing to what is listed.
  - What is there and not listed stays, and is named in C(unlisted), unless O(purge) is set.
  - Rights that MLflow gave to whoever made a model or an experiment are never touched.
author:
  - The mlops.onprem authors (@mlops-onprem)
options:
  address:
    description: Where the registry is connected to.
    type: str
    required: true
  port:
    description: Its port.
    type: int
    default: 443
  server_name:
    description: The name that its certificate is for.
    type: str
    required: true
  tls:
    description: Whether it is asked with TLS. Without, only on 127.0.0.1, beside its proxy.
    type: bool
    default: true
  ca:
    description: The CA that its certificate is checked with, as a path on the host. Needed with O(tls).
    type: path
  login_user:
    description: An administrator.
    type: str
    required: true
  login_password:
    description: The administrator's password.
    type: str
    required: true
  users:
    description: Who may log in.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: The name., type: str, required: true}
      admin: {description: Whether this one may do everything., type: bool, default: false}
      roles: {description: Names of O(roles)., type: list, elements: str, default: []}
      state: {description: Whether the user is there., type: str, choices: [present, absent], default: present}
      update_password:
        description: Whether a password that differs from O(passwords) is set back at each run, or only set when the user is made.
        type: str
        choices: [always, on_create]
        default: always
  passwords:
    description: The password of each user by name.
    type: dict
    default: {}
  rotate:
    description: Users whose password is set in any case.
    type: list
    elements: str
    default: []
  roles:
    description: Names for sets of permissions.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: The name., type: str, required: true}
      description: {description: What it is for. Left alone when not given., type: str}
      permissions:
        description: What its users may do.
        type: list
        elements: dict
        default: []
        suboptions:
          type: {description: Kind of the resource., type: str, default: registered_model}
          resource: {description: "Name of a model or an experiment, V(*) for all.", type: str, required: true}
          permission: {description: "READ, USE, EDIT, MANAGE or DENY.", type: str, required: true}
  grants:
    description: Permissions of single users, and further ones of roles.
    type: list
    elements: dict
    default: []
    suboptions:
      user: {description: For whom., type: str}
      role: {description: For which role., type: str}
      type: {description: Kind of the resource., type: str, default: registered_model}
      resource: {description: "Name of a model or an experiment, V(*) for all.", type: str, required: true}
      permission: {description: "READ, USE, EDIT, MANAGE or DENY.", type: str, required: true}
  purge:
    description: Whether users, roles, their permissions and assignments go that are not listed. O(login_user) stays.
    type: bool
    default: false
attributes:
  check_mode:
    description: Asks and plans; changes nothing. A registry that is not there yet counts as an empty one.
    support: full
  diff_mode:
    description: The list of what is done.
    support: full
  platform:
    platforms: Linux
"""

EXAMPLES = r"""
- name: Let a team read a model, and one of them change it
  mlops.onprem.model_registry_access:
    address: 192.0.2.10
    server_name: models.example.com
    ca: /etc/mlops-onprem/tls/model_registry/ca.pem
    login_user: admin
    login_password: "{{ vault_admin_password }}"
    users:
      - {name: alice, roles: [scoring]}
      - {name: bob, roles: [scoring]}
    passwords: "{{ vault_passwords }}"
    roles:
      - name: scoring
        permissions:
          - {resource: fraud, permission: READ}
          - {type: experiment, resource: fraud-training, permission: READ}
    grants:
      - {user: alice, resource: fraud, permission: EDIT}
"""

RETURN = r"""
done:
  description: What was done, or would be in check mode, each a phrase.
  returned: success
  type: list
  elements: str
unlisted:
  description: What would go with O(purge).
  returned: success
  type: list
  elements: str
waiting:
  description: Permissions on experiments that do not exist yet. The next run after they do gives them.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mlops.onprem.plugins.module_utils.registry import access, problems, wanted
from ansible_collections.mlops.onprem.plugins.module_utils.registry.api import Api, Login, Refused, Unreachable
from ansible_collections.mlops.onprem.plugins.module_utils.registry.found import Found
from ansible_collections.mlops.onprem.plugins.module_utils.registry.found import User as FoundUser
from ansible_collections.mlops.onprem.plugins.module_utils.registry.plan import Plan, make

PERMISSION = {
    "type": {"type": "str", "default": "registered_model"},
    "resource": {"type": "str", "required": True},
    "permission": {"type": "str", "required": True},
}
USER = {
    "name": {"type": "str", "required": True},
    "admin": {"type": "bool", "default": False},
    "roles": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    # Says when, holds none.
    "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
}
ROLE = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str"},
    "permissions": {"type": "list", "elements": "dict", "options": PERMISSION, "default": []},
}
GRANT = {"user": {"type": "str"}, "role": {"type": "str"}, **PERMISSION}


def _wrong(options: dict[str, Any]) -> list[str]:
    users = [{**user, "password": options["passwords"].get(user["name"])} for user in options["users"]]
    wrong = problems.problems(users, options["roles"], options["grants"], options["login_user"], options["purge"])
    if not options["tls"] and options["address"] not in ("127.0.0.1", "::1"):
        wrong.append(f"without TLS, the registry is asked on 127.0.0.1 only, not on {options['address']}")
    missing = [user["name"] for user in wanted.present(users) if user["password"] is None]
    return wrong + [f"there is no password for the user '{name}'" for name in missing]


def _provide(options: dict[str, Any], check: bool) -> Plan:
    admin = options["login_user"]
    whole = wanted.gather(options["users"], options["roles"], options["grants"])
    api = None
    try:
        login = Login(admin, options["login_password"])
        api = Api(
            options["address"],
            options["port"],
            options["server_name"],
            options["ca"] if options["tls"] else None,
            login,
        )
        return access.provide(api, whole, options["passwords"], admin, options["purge"], set(options["rotate"]), check)
    except Unreachable as error:
        if not (check and error.absent):
            raise
        # A registry that this run would have made.
        return make(whole, Found(users={admin: FoundUser(True, set())}), admin, options["purge"])
    finally:
        if api:
            api.close()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 443},
            "server_name": {"type": "str", "required": True},
            "tls": {"type": "bool", "default": True},
            "ca": {"type": "path"},
            "login_user": {"type": "str", "required": True},
            "login_password": {"type": "str", "required": True, "no_log": True},
            "users": {"type": "list", "elements": "dict", "options": USER, "default": []},
            "passwords": {"type": "dict", "default": {}, "no_log": True},
            "rotate": {"type": "list", "elements": "str", "default": []},
            "roles": {"type": "list", "elements": "dict", "options": ROLE, "default": []},
            "grants": {"type": "list", "elements": "dict", "options": GRANT, "default": []},
            "purge": {"type": "bool", "default": False},
        },
        required_if=[("tls", True, ["ca"])],
        supports_check_mode=True,
    )
    options = module.params
    wrong = _wrong(options)
    if wrong:
        module.fail_json(msg="; ".join(wrong))
    try:
        plan = _provide(options, module.check_mode)
    except Unreachable as error:
        module.fail_json(msg=f"the registry cannot be asked: {error}")
    except Refused as refused:
        if refused.status == 401:
            module.fail_json(msg=f"the registry does not accept the password of '{options['login_user']}'")
        module.fail_json(msg=f"the registry refused: {refused}")
    except access.NoEffect as error:
        module.fail_json(msg=f"the registry said yes, and this is still to be done: {error}. Does another run undo it?")
    else:
        done = [step.text for step in plan.steps]
        module.exit_json(
            changed=bool(done),
            done=done,
            unlisted=plan.unlisted,
            waiting=plan.waiting,
            diff={"prepared": "".join(f"{line}\n" for line in done)},
        )


if __name__ == "__main__":
    main()
