# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that shall be on a host for its CI runners."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.ci.host_wanted import unwanted, wanted


def runner_host(
    slots: list[dict[str, Any]], options: dict[str, Any], secrets: dict[str, dict[str, str]], scripts: dict[str, str]
) -> dict[str, Any]:
    try:
        if not slots:
            return unwanted({**options, "scripts": list(scripts)})
        return wanted(slots, options, secrets, scripts)
    except KeyError as error:
        raise AnsibleFilterError(f"ci_runner_host: {error} is missing") from error


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ci_runner_host": runner_host}
