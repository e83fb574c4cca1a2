# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a GPU driver put on a host beside their packages, as lists."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host import plan
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import nearest

OPTIONS = ("mig", "mig_config", "container_runtimes", "users", "imex_nodes", "loaded_version")


def parts(chosen: Any, hardware: Any, found: Any, options: Any = None) -> dict[str, Any]:
    for name, value in (("selection", chosen), ("hardware", hardware), ("found", found), ("options", options or {})):
        if not isinstance(value, dict):
            raise AnsibleFilterError(f"gpu_driver_parts: {name} is a {type(value).__name__} and not a dictionary")
    if "parts" not in found:
        raise AnsibleFilterError("gpu_driver_parts: found has no parts: it is what gpu_driver_info returns")
    for name in options or {}:
        if name not in OPTIONS:
            raise AnsibleFilterError(f"gpu_driver_parts: option {name!r} does not exist, {nearest(name, OPTIONS)}")
    return plan(chosen, hardware, found, options or {})


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gpu_driver_parts": parts}
