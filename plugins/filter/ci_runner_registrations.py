# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots as runners of a forge, and what is kept of them."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.ci import secrets

By = dict[str, dict[str, str]]


def registrations(slots: list[dict[str, Any]], options: dict[str, Any], known: By, host: By) -> list[dict[str, Any]]:
    return secrets.asked(slots, options, known, host)


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ci_runner_registrations": registrations}
