# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks that differ: certificates, logins and metrics break on hosts whose clock is off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MOST_SECONDS = 2.0
CHECK = "survey.clock_offset"
EVIDENCE = "time.offset_seconds"


def _number(survey: object, name: str) -> float | None:
    times = survey.get("time") if isinstance(survey, dict) else None
    value = times.get(name) if isinstance(times, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        return None
    return float(value) if math.isfinite(value) else None


def clock_rows(surveys: Mapping[str, object]) -> list[dict[str, Any]]:
    """One row for each host: `warn` where its clock is surely more than MOST_SECONDS off the controller's, else `pass`.

    `unknown` where it was not compared. Surely: the offset less the error of its measurement. Where all of two or more
    hosts are off by the same, the controller is.
    """
    offsets = {host: _number(survey, "offset_seconds") for host, survey in surveys.items()}
    known = [offset for offset in offsets.values() if offset is not None]
    together = len(known) > 1 and max(known) - min(known) <= MOST_SECONDS
    rows = []
    for host, offset in offsets.items():
        row = {"host": host, "check": CHECK, "title": "Clock beside the controller's", "evidence": EVIDENCE}
        if offset is None:
            remedy = "Run mlops.onprem.survey_facts as a task; then the clocks are compared."
            rows.append({**row, "status": "unknown", "found": "not compared", "remedy": remedy})
            continue
        error = _number(surveys[host], "offset_error_seconds") or 0.0
        off = abs(offset) - abs(error) > MOST_SECONDS
        remedy = "Set up a time service (chrony) on the host, with the same servers on all hosts."
        if together:
            remedy = "All hosts agree with each other: set the controller's clock."
        side = "ahead of" if offset > 0 else "behind"
        found = f"{abs(offset):.1f} s {side} the controller, give or take {abs(error):.1f} s"
        rows.append({**row, "status": "warn" if off else "pass", "found": found, "remedy": remedy if off else ""})
    return rows
