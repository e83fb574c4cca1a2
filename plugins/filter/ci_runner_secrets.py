# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a host's runners after a registration."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.ci import secrets

By = dict[str, dict[str, str]]


def kept(slots: list[dict[str, Any]], provider: str, known: By, tokens: By) -> dict[str, By]:
    every = secrets.keep(slots, provider, known, tokens)
    return {"secrets": every, "stored": secrets.stored(every, known)}


class FilterModule:
    """Filters by name, as Ansible looks for them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ci_runner_secrets": kept}
