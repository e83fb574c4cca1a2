"""The module, run as Ansible runs it, without a process of its own."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.mlops.onprem.plugins.modules import ci_runner_registration


class Ended(Exception):
    """The module's end, with its answer."""


def run(check: bool = False, **options: Any) -> dict[str, Any]:
    """Return what the module answers; `failed` is in it where it failed. Passes through Ansible's own hiding of secrets."""

    def end(self: Any, answer: dict[str, Any]) -> None:
        raise Ended(json.dumps(basic.remove_values(answer, self.no_log_values)))

    def exit_json(self: Any, **answer: Any) -> None:
        end(self, answer)

    def fail_json(self: Any, msg: str, **answer: Any) -> None:
        end(self, {"failed": True, "msg": msg, **answer})

    arguments = {"timeout": 5, "patience": 3, **options, "_ansible_check_mode": check}
    with (
        patch_module_args(arguments),
        mock.patch.object(basic.AnsibleModule, "exit_json", exit_json),
        mock.patch.object(basic.AnsibleModule, "fail_json", fail_json),
    ):
        try:
            ci_runner_registration.main()
        except Ended as ended:
            return json.loads(str(ended))
    raise AssertionError("the module did not end")
