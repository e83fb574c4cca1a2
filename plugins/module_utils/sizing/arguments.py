# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that the modules which judge hosts share; the documentation fragment `assessment` describes them."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError


def arguments() -> dict[str, dict[str, Any]]:
    """Return the part of an argument spec."""
    records: dict[str, Any] = {"type": "list", "elements": "dict", "default": []}
    names: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
    return {
        "requirements": {"type": "list", "elements": "dict", "required": True},
        "overrides": records,
        "waivers": records,
        "workloads": records,
        "fleet_hosts": names,
        "fleet_requirements": records,
        "known_hosts": names,
        "gate": {"type": "str", "choices": ["strict", "normal", "report_only"], "default": "normal"},
        "today": {"type": "str"},
    }


def as_keywords(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options as `assessment.assess` takes them, beside hosts. Raises DataError for a date that is none."""
    try:
        today = datetime.date.fromisoformat(options["today"]) if options["today"] else None
    except ValueError as error:
        raise DataError(f"today: {options['today']!r} is not a date like 2026-12-31") from error
    return {
        "shipped": options["requirements"],
        "own": options["overrides"],
        "waived": options["waivers"],
        "known_hosts": options["known_hosts"],
        "level": options["gate"],
        "today": today,
        "workloads": options["workloads"],
        "fleet_hosts": options["fleet_hosts"],
        "fleet_requirements": options["fleet_requirements"],
    }
