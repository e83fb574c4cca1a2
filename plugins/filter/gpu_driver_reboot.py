# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host has to be rebooted for its GPU driver, and whether that is done now."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_reboot import decide


def reboot(info: object, policy: str = "if_needed", connection: str = "ssh", changed: bool = False) -> dict[str, Any]:
    if not isinstance(info, dict):
        raise AnsibleFilterError(f"gpu_driver_reboot: the host's state is a {type(info).__name__} and not a dictionary")
    try:
        return decide(info, policy, connection, changed)
    except ValueError as error:
        raise AnsibleFilterError(f"gpu_driver_reboot: {error}") from error


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gpu_driver_reboot": reboot}
