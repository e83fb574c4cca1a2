# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with lists of users, roles and grants, before any host is asked."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.registry.problems import problems

Entries = list[dict[str, Any]]


def wrong(
    users: Entries,
    roles: Entries,
    grants: Entries,
    admin: str,
    purge: bool = False,
    rotate: list[str] | None = None,
) -> list[str]:
    return problems(users, roles, grants, admin, purge, rotate)


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"model_registry_access_problems": wrong}
