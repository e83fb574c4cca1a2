# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a host so that it has the driver that is wanted."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_plan import plan
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import OptionError


def driver_plan(facts: object, options: object, info: object = None) -> dict[str, Any]:
    if not isinstance(facts, dict):
        raise AnsibleFilterError(f"gpu_driver_plan: the facts are a {type(facts).__name__} and not a dictionary")
    try:
        return plan(facts, options, info)  # type: ignore[arg-type]
    except OptionError as error:
        raise AnsibleFilterError(f"gpu_driver_plan: {error}") from error


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gpu_driver_plan": driver_plan}
