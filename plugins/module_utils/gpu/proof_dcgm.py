# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of `dcgmi diag --json`: a row for each test and card."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import FAIL, PASS, SKIPPED, UNKNOWN, WARN, row

# DCGM 4, and what DCGM 3 wrote.
_ROOTS = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
_VERDICTS = {"pass": PASS, "fail": FAIL, "warn": WARN, "skip": SKIPPED}


def judge(text: str | None, gpus: list[str]) -> list[dict[str, Any]]:
    """A row for each test and entity. `gpus` are the PCI addresses in nvidia-smi's order, which DCGM's numbers follow."""
    mend = "Look at `dcgmi diag -r 1` on the host: DCGM's service (nvidia-dcgm) has to run, and no program may use the GPUs"
    try:
        document = json.loads((text or "")[(text or "").index("{") :])
        root = next(document[name] for name in _ROOTS if name in document)
        categories = root["test_categories"]
        tests = [test for category in categories for test in category["tests"]]
    except (ValueError, KeyError, TypeError, StopIteration):
        said = " ".join((text or "").split())[:200] or "nothing"
        return [row("burn", FAIL, f"dcgmi's answer is no diagnosis: {said}", remedy=mend)]
    if root.get("runtime_error"):
        return [row("burn", FAIL, f"dcgmi: {str(root['runtime_error'])[:300]}", remedy=mend)]
    rows = [entry for test in tests if isinstance(test, dict) for entry in _of_test(test, gpus)]
    return rows or [row("burn", UNKNOWN, "dcgmi ran no test", remedy=mend)]


def _of_test(test: dict[str, Any], gpus: list[str]) -> list[dict[str, Any]]:
    rows = []
    name = str(test.get("name"))[:60]
    for result in test.get("results") or []:
        verdict = _VERDICTS.get(str(result.get("status", "")).lower(), UNKNOWN)
        said = [
            str(warning.get("warning", "")) for warning in result.get("warnings") or [] if isinstance(warning, dict)
        ]
        number = result.get("entity_id")
        known = result.get("entity_group") == "GPU" and isinstance(number, int) and 0 <= number < len(gpus)
        found = f"{name}: {'; '.join(said)[:300] or result.get('status')}"
        mend = "DCGM's words say what is wrong with the card; where it comes back after a cold start, have it replaced"
        rows.append(
            row("burn", verdict, found, remedy=mend if verdict == FAIL else None, gpu=gpus[number] if known else None)
        )
    return rows
