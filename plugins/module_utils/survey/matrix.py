# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: the flows that a platform needs, held against what each host's survey found.

A flow is data: `from` (names of hosts), `to` (name of the server), `port`, and where wanted `address` (what to connect to,
else `to`), `why` (in words), `required` (default true), `protocol` (`tcp`). Surveys come from hosts: nothing in them raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.verdicts import plain
from ansible_collections.mlops.onprem.plugins.module_utils.survey.reach import (
    ANSWERS,
    OPEN,
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
)

FLOW_KEYS = ("from", "to", "address", "port", "protocol", "why", "required")
PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
# A refusal comes from the host itself: the way there is free, and the service is not installed yet.
FREE = (OPEN, REFUSED)

Row = dict[str, Any]


def check_flows(flows: object) -> list[dict[str, Any]]:
    """The flows, checked; DataError names the flow and what is wrong with it."""
    if not isinstance(flows, list):
        raise DataError(f"flows: {flows!r} is not a list")
    for number, flow in enumerate(flows):
        place = f"flows[{number}]"
        if not isinstance(flow, dict):
            raise DataError(f"{place}: {flow!r} is not a dictionary")
        for key in flow:
            if key not in FLOW_KEYS:
                raise DataError(f"{place}: unknown key {key!r}; {nearest(str(key), FLOW_KEYS)}")
        hosts, port = flow.get("from"), flow.get("port")
        if not isinstance(hosts, list) or not all(isinstance(host, str) and host for host in hosts):
            raise DataError(f"{place}: from: {hosts!r} is not a list of host names")
        if not isinstance(flow.get("to"), str) or not flow["to"]:
            raise DataError(f"{place}: to: {flow.get('to')!r} is not a host name")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise DataError(f"{place}: port: {port!r} is not between 1 and 65535")
        if flow.get("protocol", "tcp") != "tcp":
            raise DataError(f"{place}: protocol: {flow['protocol']!r} cannot be asked; only tcp can")
    return flows


def records(survey: object, *path: str) -> list[dict[str, Any]]:
    """The dictionaries of a list in a survey; empty for anything else."""
    for key in path:
        survey = survey.get(key) if isinstance(survey, dict) else None
    return [item for item in survey if isinstance(item, dict)] if isinstance(survey, list) else []


def _answer(survey: object, flow: Mapping[str, Any]) -> dict[str, Any]:
    address = flow.get("address") or flow["to"]
    for record in records(survey, "reach"):
        if record.get("address") == address and record.get("port") == flow["port"] and record.get("answer") in ANSWERS:
            return record
    return {}


def _addresses(record: Mapping[str, Any]) -> str:
    found = record.get("addresses")
    texts = [plain(item) for item in found[:3] if isinstance(item, str)] if isinstance(found, list) else []
    return f" ({', '.join(texts)})" if texts else ""


def _remedy(answer: str | None, host: str, flow: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    if answer in FREE:
        return ""
    rule = f"TCP from {host} to {flow['to']}{_addresses(record)}, port {flow['port']}"
    if answer is None:
        return f"Survey {host} with this flow among its targets."
    if answer == TIMEOUT:
        return f"Ask the network team to allow {rule}: what is sent there is dropped on the way."
    if answer == UNREACHABLE:
        return f"Ask the network team for a route, and to allow {rule}: a router or a firewall turns it back."
    return f"Give {plain(flow.get('address') or flow['to'])} a name in the DNS that {host} asks, or an address in the flow."


def matrix(surveys: Mapping[str, object], flows: object) -> list[Row]:
    """One row for each flow and each of its hosts, in the order of the flows.

    `surveys`: `mlops_survey` by host; None or absent for a host that could not be read. A row has from, to, port, why,
    required, answer (None where not known), status (`pass`: open or refused, `fail`, `unknown`), milliseconds (or None),
    found (in words) and remedy (empty for a pass). Raises DataError for flows that are none.
    """
    rows = []
    for flow in check_flows(flows):
        for host in dict.fromkeys(flow["from"]):
            record = _answer(surveys.get(host), flow)
            answer = record.get("answer")
            status = UNKNOWN if answer is None else PASS if answer in FREE else FAIL
            spent = record.get("milliseconds")
            reason = plain(record.get("reason") or "", 120)
            rows.append(
                {
                    "from": host,
                    "to": flow["to"],
                    "port": flow["port"],
                    "why": flow.get("why") or "",
                    "required": flow.get("required", True) is not False,
                    "answer": answer,
                    "status": status,
                    "milliseconds": spent if isinstance(spent, (int, float)) and not isinstance(spent, bool) else None,
                    "found": "not asked" if answer is None else f"{answer}: {reason}" if reason else answer,
                    "remedy": _remedy(answer, host, flow, record),
                }
            )
    return rows
