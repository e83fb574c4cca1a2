# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's CI runners shall be."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.ci.plan import plan


def runner_plan(options: object, gpus: object, found: object = None) -> dict[str, Any]:
    if not isinstance(options, dict) or not isinstance(gpus, list):
        raise AnsibleFilterError("ci_runner_plan: it takes a mapping of options and a list of GPUs")
    try:
        return plan(options, gpus, found)  # type: ignore[arg-type]
    except KeyError as error:
        raise AnsibleFilterError(f"ci_runner_plan: the option {error} is missing") from error


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ci_runner_plan": runner_plan}
