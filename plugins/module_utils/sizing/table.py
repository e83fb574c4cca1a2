# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows as a table of text, one line a check."""

from __future__ import annotations

from typing import Any

COLUMNS = ("host", "status", "check", "required", "found")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    marks = [mark for mark in ("simulated", "planned") if row[mark]]
    host = f"{row['host']} ({', '.join(marks)})" if marks else row["host"]
    status = row["status"].upper() if row["status"] == "fail" else row["status"]
    if row["waived_by"]:
        status += ", waived"
    found = f"{row['found']} (short by {row['short_by']})" if row["short_by"] else row["found"]
    return (host, status, row["check"], row["required"], found)


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return a heading and one line a row; a host that could not be read has a single line for all of its checks."""
    table: list[tuple[str, ...]] = [COLUMNS]
    lost: set[str] = set()
    for row in rows:
        if not row["host_error"]:
            table.append(_cells(row))
        elif row["host"] not in lost:
            lost.add(row["host"])
            table.append((row["host"], "ERROR", "all checks", "", f"host could not be read: {row['host_error']}"))
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS) - 1)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]).rstrip() for line in table]
