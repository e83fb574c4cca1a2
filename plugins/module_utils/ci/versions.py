# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that a forge takes no jobs from any more.

GitHub's rule, from its announcements of 2026: a runner registers from 2.329.0 on, and has to be of a release that is not older than 30
days after the next one came out; the rule is enforced from 2026-07-31 (data residency) and 2026-09-25 (enterprise cloud). All of it is
data: `ci_runner_version_rule` overrides each key.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

RULES: dict[str, dict[str, Any]] = {
    "github": {"minimum": "2.329.0", "days": 30, "enforced_from": "2026-09-25"},
}


def number(version: str) -> tuple[int, ...]:
    """Return `2.336.0` as (2, 336, 0)."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))


def judge(provider: str, version: str, facts: dict[str, Any], today: str) -> tuple[str, str]:
    """Return (why this version cannot be used, what to be alarmed of), empty where nothing is.

    facts: the rule's keys where a site knows better, `released` (the day on which `version` came out, or was last known to be the
    newest), and `newer` ({version, released}) where a newer release is known. today: as 2026-11-30.
    """
    if provider not in RULES:
        return "", ""
    rule = {**RULES[provider], **facts}
    if number(version) < number(rule["minimum"]):
        return (
            f"ci_runner_version is {version}, and GitHub registers no runner before {rule['minimum']}; give that one or a newer one",
            "",
        )
    now = datetime.date.fromisoformat(today)
    newer = rule.get("newer") or {}
    days = datetime.timedelta(days=int(rule["days"]))
    if newer and number(str(newer["version"])) > number(version):
        last = datetime.date.fromisoformat(str(newer["released"])) + days
        what = f"{newer['version']} came out on {newer['released']}"
    elif rule.get("released"):
        last = datetime.date.fromisoformat(str(rule["released"])) + days
        what = f"{version} is of {rule['released']}, and a newer one may be out"
    else:
        return "", ""
    last = max(last, datetime.date.fromisoformat(str(rule["enforced_from"])))
    left = (last - now).days
    if left < 0:
        return "", (
            f"GitHub may give the runner {version} no more jobs since {last}: {what}, and runners have {rule['days']} days. "
            "Set ci_runner_version with its sha256 to the newest release"
        )
    if left <= 7:
        return (
            "",
            f"GitHub gives the runner {version} no more jobs after {last}, in {left} days: {what}. Plan the upgrade",
        )
    return "", ""
