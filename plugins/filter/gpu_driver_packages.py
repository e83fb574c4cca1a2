# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPU driver a host gets: repositories, packages, holds and conflicts, or a refusal with its reason."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import OptionError
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import as_data
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.selection import select
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.unverified import UNVERIFIED


def packages(facts: object, options: object = None) -> dict[str, Any]:
    if not isinstance(facts, dict):
        raise AnsibleFilterError(f"gpu_driver_packages: the facts are a {type(facts).__name__} and not a dictionary")
    try:
        return as_data(select(facts, {} if options is None else options), UNVERIFIED)  # type: ignore[arg-type]
    except OptionError as error:
        raise AnsibleFilterError(f"gpu_driver_packages: {error}") from error


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gpu_driver_packages": packages}
