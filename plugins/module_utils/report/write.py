# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From hosts to report files: judges them while they pass by, and writes the pages, report.json and report.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.report import files, snapshots
from ansible_collections.mlops.onprem.plugins.module_utils.report.inventory import summarize
from ansible_collections.mlops.onprem.plugins.module_utils.report.page import Report
from ansible_collections.mlops.onprem.plugins.module_utils.report.words import Words
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.assessment import assess
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.survey.findings import survey_findings
from ansible_collections.mlops.onprem.plugins.module_utils.survey.matrix import check_flows, matrix
from ansible_collections.mlops.onprem.plugins.module_utils.survey.skew import clock_rows

# Of a survey, what is needed when all hosts have passed by: who reached whom, and the clocks.
_KEPT = ("reach", "time")


class Hosts(Mapping[str, "dict[str, Any]"]):
    """Several mappings of hosts as one, without copying them. Raises DataError for a name that stands in two of them."""

    def __init__(self, *sources: Mapping[str, Any]) -> None:
        self._sources = sources
        seen: set[str] = set()
        for source in sources:
            twice = seen & set(source)
            if twice:
                raise DataError(
                    f"host {sorted(twice)[0]!r}: stands in two of: this run, the snapshots, the planned hosts"
                )
            seen |= set(source)

    def __iter__(self) -> Iterator[str]:
        for source in self._sources:
            yield from source

    def __len__(self) -> int:
        return sum(len(source) for source in self._sources)

    def __getitem__(self, name: str) -> dict[str, Any]:
        for source in self._sources:
            if name in source:
                return source[name]  # type: ignore[no-any-return]
        raise KeyError(name)


def translated(requirements: list[dict[str, Any]], language: str) -> dict[str, str]:
    """Return the texts of requirements in a language by their English text: sums of several requirements use them, too."""
    return {
        one[key]: text
        for one in requirements
        for key, text in one.get("translations", {}).get(language, {}).items()
        if one.get(key)
    }


def write(
    folder: Path,
    hosts: Mapping[str, Any],
    judged_by: dict[str, Any],
    *,
    language: str = "en",
    when: str = "",
    flows: object = (),
    save_to: Path | None = None,
) -> dict[str, Any]:
    """Return what `assess` returns, and `flows` and `findings`, after the files are written.

    folder, save_to: existing folders. judged_by: the keywords of `assess`. when: the time to show, in words. Raises DataError for bad
    data, before any file is replaced, and OSError where the folder cannot be written.
    """
    flows = check_flows(list(flows) if isinstance(flows, tuple) else flows)
    summaries: dict[str, dict[str, Any]] = {}
    kept: dict[str, Any] = {}
    findings: list[dict[str, Any]] = []
    surveyed = False
    with files.replacing(folder / "report.json") as file:
        stream = files.HostStream(file)

        def seen(name: str, host: dict[str, Any]) -> None:
            nonlocal surveyed
            summaries[name] = summarize(host)
            survey = host.get("survey")
            if isinstance(survey, dict):
                surveyed = True
                findings.extend(survey_findings(name, survey, host.get("ports") or {}))
            if not host.get("planned"):
                kept[name] = {key: survey.get(key) for key in _KEPT} if isinstance(survey, dict) else None
                if save_to is not None:
                    snapshots.save(save_to, name, host, when)
            stream.add(name, host)

        result = assess(hosts, seen=seen, **judged_by)
        found = matrix(kept, flows) if surveyed else []
        if surveyed:
            findings.extend(row for row in clock_rows(kept) if row["status"] != "pass")
        result.update(flows=found, findings=findings)
        stream.close(
            {
                "gate": judged_by["level"],
                "made": when,
                **{key: result[key] for key in ("summary", "rows", "workloads", "purchases", "flows", "findings")},
                "blocking": sorted({row["check"] for row in result["blocking"]}),
            }
        )
    requirements = [*judged_by["shipped"], *judged_by["own"]]
    report = Report(
        Words(language),
        summaries,
        result,
        gate=judged_by["level"],
        when=when,
        texts=translated(requirements, language),
        flows=found,
        findings=findings,
    )
    files.write_table(folder / "report.csv", result["rows"])
    files.write_pages(folder, report.index(), report.host_pages())
    return result
