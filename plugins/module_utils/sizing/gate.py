# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What blocks, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.verdicts import FAIL, STATUSES, UNKNOWN

STRICT, NORMAL, REPORT_ONLY = "strict", "normal", "report_only"
GATES = (STRICT, NORMAL, REPORT_ONLY)


def blocks(row: dict[str, Any], gate: str) -> bool:
    """Return whether a row keeps a run from going on.

    A failed requirement does, at every gate but `report_only`. What could not be read does at `strict`; a host that could not be
    read at all does at `normal` too, since nothing is known that would let it pass. A waived row never does.
    """
    if gate == REPORT_ONLY or row["waived_by"]:
        return False
    if row["status"] == FAIL or row["host_error"]:
        return True
    return bool(gate == STRICT and row["status"] == UNKNOWN and row["severity"] == FAIL)


def summary(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return how many rows have each status, and how many are waived."""
    counts = dict.fromkeys([*STATUSES, "waived"], 0)
    for row in rows:
        counts[row["status"]] += 1
        counts["waived"] += bool(row["waived_by"])
    return counts


def message(blocking: list[dict[str, Any]]) -> str:
    """Return one text with every blocking row of every host: failed requirements first, then what could not be read."""
    failed = [row for row in blocking if row["status"] == FAIL]
    silent = [row for row in blocking if row["status"] == UNKNOWN and not row["host_error"]]
    lost = {row["host"]: row["host_error"] for row in blocking if row["host_error"]}
    text: list[str] = []
    if failed:
        text.append(f"Requirement failed ({len(failed)}):")
        for row in failed:
            short = f", short by {row['short_by']}" if row["short_by"] else ""
            text.append(
                f"  {row['host']}: {row['check']}: requires {row['required']}, found {row['found']}{short}; read from {row['evidence']}."
                + (f" To mend it: {row['remedy']}" if row["remedy"] else "")
            )
    if silent:
        text.append(f"Could not be read ({len(silent)}):")
        text.extend(
            f"  {row['host']}: {row['check']}: requires {row['required']}; {row['evidence']}." for row in silent
        )
    if lost:
        text.append(f"Host could not be read ({len(lost)}):")
        text.extend(f"  {host}: {reason}" for host, reason in sorted(lost.items()))
    return "\n".join(text)
