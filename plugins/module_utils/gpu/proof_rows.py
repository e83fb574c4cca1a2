# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a proof: what was looked at, what was found, what should be, and how to mend it."""

from __future__ import annotations

from typing import Any

PASS, WARN, FAIL, UNKNOWN, SKIPPED, PENDING = "pass", "warn", "fail", "unknown", "skipped", "pending"
# The worst of these that any row has is the verdict of the whole.
_ORDER = (FAIL, PENDING, UNKNOWN)


def row(
    check: str,
    verdict: str,
    found: str,
    required: str | None = None,
    remedy: str | None = None,
    gpu: str | None = None,
) -> dict[str, Any]:
    """One row; `gpu` is the PCI address where it is about one card."""
    return {"check": check, "gpu": gpu, "verdict": verdict, "found": found, "required": required, "remedy": remedy}


def overall(rows: list[dict[str, Any]]) -> str:
    """`fail`, `pending`, `unknown` or `pass`. What is not known is no pass; a warning is one."""
    verdicts = {entry["verdict"] for entry in rows}
    return next((verdict for verdict in _ORDER if verdict in verdicts), PASS)


def sentence(entry: dict[str, Any]) -> str:
    """A row as one sentence, without its remedy."""
    place = f"{entry['gpu']}: " if entry["gpu"] else ""
    wanted = f" (should be {entry['required']})" if entry["required"] else ""
    return f"{place}{entry['found']}{wanted}"


def failures(rows: list[dict[str, Any]]) -> str:
    """All failed rows and what mends them, for the error of a task; remedies that several rows share are said once."""
    failed = [entry for entry in rows if entry["verdict"] == FAIL]
    remedies = dict.fromkeys(entry["remedy"] for entry in failed if entry["remedy"])
    return ". ".join(["; ".join(sentence(entry) for entry in failed), *remedies])


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """What did not pass, a line each, the worst first; then one line for each check that passed, with how often."""
    told = []
    for verdict in (FAIL, PENDING, UNKNOWN, WARN):
        for entry in rows:
            if entry["verdict"] == verdict:
                remedy = f" -> {entry['remedy']}" if entry["remedy"] else ""
                told.append(f"{verdict.upper():<8} {entry['check']}: {sentence(entry)}{remedy}")
    for verdict in (PASS, SKIPPED):
        for check in dict.fromkeys(entry["check"] for entry in rows if entry["verdict"] == verdict):
            same = [entry for entry in rows if entry["check"] == check and entry["verdict"] == verdict]
            found = dict.fromkeys(entry["found"] for entry in same)
            count = f"{len(same)} GPUs: " if len(same) > 1 else f"{same[0]['gpu']}: " if same[0]["gpu"] else ""
            told.append(f"{verdict:<8} {check}: {count}{', '.join(found)}")
    return told
