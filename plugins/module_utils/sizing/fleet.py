# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads, and requirements on the fleet, against all hosts together.

A row looks like a host's, with the host `(fleet)`. What cannot be known (a host that was not read, a card whose memory was not)
is never counted: where it could decide, the status is unknown. A run that is limited to some hosts does not judge the fleet by
them: what they do not hold is skipped, and the row says which hosts were left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import verdicts
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.alike import Counter
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.stock import Gpu, Stock
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import GIB, gpu_class

FLEET = "(fleet)"
# More is no purchase for one workload, but another plan.
MOST_TO_BUY = 64
LONGEST_LIST = 240
EVIDENCE = "accelerators[].memory_bytes of all hosts"


def _row(check: str, title: str, stock: Stock, evidence: str = EVIDENCE) -> verdicts.Row:
    return {
        "host": FLEET,
        "check": check,
        "title": title,
        "status": verdicts.PASS,
        "severity": verdicts.FAIL,
        "required": "",
        "found": "",
        "short_by": "",
        "evidence": evidence,
        "why": "",
        "remedy": "",
        "amounts": None,
        "purchase": None,
        "waived_by": "",
        "simulated": stock.simulated,
        "planned": False,
        "host_error": "",
    }


def _pieces(count: int, what: str = "GPU") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _found(gpus: Iterable[Gpu]) -> str:
    """`2 of the 80 GB class on gpu1`, the largest first."""
    groups: dict[tuple[float, str], int] = {}
    for gpu in gpus:
        key = (gpu_class(gpu.size_bytes), gpu.host)
        groups[key] = groups.get(key, 0) + 1
    words = [
        f"{count} of the {size:.0f} GB class on {host}" for (size, host), count in sorted(groups.items(), reverse=True)
    ]
    return verdicts.plain(", ".join(words) or "none", LONGEST_LIST)


def _offers(workload: dict[str, Any], stock: Stock) -> tuple[int, list[dict[str, Any]]]:
    """Return with how many GPUs that are there it would do (0: with none), and what more would do, by class."""
    instead, offers = 0, []
    for option in workload["gpu_options"]:
        have = sum(1 for gpu in stock.gpus if gpu_class(gpu.size_bytes) >= option["class_gb"])
        if have >= option["gpus"]:
            instead = option["gpus"]
        elif option["gpus"] - have <= MOST_TO_BUY:
            offers.append({"count": option["gpus"] - have, "class_gb": option["class_gb"], "replace": False})
    return instead, offers


def _advice(instead: int, offers: list[dict[str, Any]]) -> str:
    """The same as a sentence; what is there and large enough is used."""
    there = f"It would do on {_pieces(instead)} that are there: set gpus to {instead}." if instead else ""
    if offers:
        words = [f"{_pieces(one['count'], 'more GPU')} of the {one['class_gb']:.0f} GB class" for one in offers]
        return f"{there} Or add {', or '.join(words)}." if there else f"Add {', or '.join(words)}."
    if there:
        return there
    return "No GPU that is sold holds it as the recipe stands: shard it over more GPUs (sharding), or choose a leaner recipe."


def judge(workload: dict[str, Any], stock: Stock) -> verdicts.Row:
    """Return the row of one workload's GPUs, as `workload_requirements` returns the workload."""
    need, count = (
        workload["requirements"]["gpu_memory_bytes_per_gpu"],
        int(workload["requirements"]["gpus"]["expected"]),
    )
    row = _row(f"workload.{workload['name']}.gpus", f"GPUs for {workload['name']}", stock)
    low, expected, high = (need[end] / GIB for end in ("low", "expected", "high"))
    row["required"] = f"{_pieces(count)} with {expected:.1f} GiB ({low:.1f} to {high:.1f})"
    row["why"] = f"{need['formula']}. Source: {need['source']}"
    enough = [gpu for gpu in stock.gpus if gpu.size_bytes >= need["expected"]]
    perhaps = [gpu for gpu in stock.gpus if gpu.size_bytes >= need["low"]]
    row["found"] = _found(enough)
    if len(enough) >= count:
        return row
    row["short_by"] = _pieces(count - len(enough))
    instead, offers = _offers(workload, stock)
    row["remedy"] = _advice(instead, offers)
    row["purchase"] = {"item": "gpu", "options": offers, "workload": workload["name"]} if offers else None
    if stock.silent or len(enough) + stock.unmeasured >= count:
        row["status"] = verdicts.UNKNOWN
        lost = f"; not read: {', '.join(stock.silent)}" if stock.silent else ""
        row["evidence"] = verdicts.plain(f"{EVIDENCE}{lost}; GPUs of unknown memory: {stock.unmeasured}")
    elif len(perhaps) >= count:
        row["status"] = verdicts.WARN
        row["remedy"] = f"It may just fit: try it before anything is bought. {row['remedy']}"
    else:
        row["status"] = verdicts.FAIL
    return row


def _hosts_need(workload: dict[str, Any], stock: Stock) -> list[verdicts.Row]:
    """Return the rows of what a workload needs of the hosts with its GPUs (memory, threads) and of storage; these only warn."""
    needs = workload["requirements"]
    floor = needs["gpu_memory_bytes_per_gpu"]["expected"]
    hosts = {gpu.host for gpu in stock.gpus if gpu.size_bytes >= floor}
    name = workload["name"]
    rows = []
    for key, what, unit, size, by_host, evidence in (
        ("host_memory_bytes", "memory", "GiB", GIB, stock.memory, "memory.total_bytes"),
        ("cpu_threads", "CPU threads", "", 1, stock.threads, "cpu.threads"),
    ):
        if key in needs:
            amounts = [by_host.get(host) for host in hosts]
            row = _row(
                f"workload.{name}.{key}", f"Host {what} for {name}", stock, f"{evidence} of the hosts with its GPUs"
            )
            _judge_amount(row, needs[key], size, unit, amounts, bool(hosts))
            rows.append(row)
    if "storage_bytes" in needs:
        row = _row(
            f"workload.{name}.storage", f"Storage for {name}", stock, "filesystems[].available_bytes of all hosts"
        )
        _judge_amount(row, needs["storage_bytes"], 10**9, "GB", [stock.largest_space], True)
        rows.append(row)
    return rows


def _judge_amount(
    row: verdicts.Row, need: dict[str, Any], size: int, unit: str, amounts: list[float | None], applies: bool
) -> None:
    wanted = need["expected"]
    row.update(severity=verdicts.WARN, required=f">= {wanted / size:.0f} {unit}".strip())
    row["why"] = f"{need['formula']}. Source: {need['source']}"
    known = [amount for amount in amounts if amount is not None]
    have = sum(known)
    row["found"] = f"{have / size:.0f} {unit}".strip()
    if not applies:
        row.update(status=verdicts.SKIPPED, found="does not apply: no host has its GPUs")
    elif have < wanted:
        row["status"] = verdicts.WARN if len(known) == len(amounts) else verdicts.UNKNOWN
        row["short_by"] = f"{(wanted - have) / size:.0f} {unit}".strip()
        row["remedy"] = "Add it, or spread the workload over more hosts."
        if unit == "GB":
            row["remedy"] = "Add storage, or mount a larger file system."
            row["purchase"] = {"item": "storage", "size_bytes": wanted - have, "at": ""}


def together(workloads: list[dict[str, Any]], stock: Stock) -> verdicts.Row:
    """Return the row of all workloads at the same time: the hungriest first, each on the smallest cards that do."""
    row = _row("workload.together.gpus", "GPUs for all workloads at the same time", stock)
    row["severity"] = verdicts.WARN
    row["why"] = "A shortfall here matters only where the workloads run at the same time."
    wanted = sorted(
        (
            (
                one["requirements"]["gpu_memory_bytes_per_gpu"]["expected"],
                int(one["requirements"]["gpus"]["expected"]),
                one["name"],
            )
            for one in workloads
        ),
        reverse=True,
    )
    row["required"] = _pieces(sum(count for size, count, name in wanted))
    row["found"] = _found(stock.gpus)
    free = sorted(stock.gpus, key=lambda gpu: gpu.size_bytes)
    short: dict[str, int] = {}
    for size, count, name in wanted:
        for _unused in range(count):
            fit = next((gpu for gpu in free if gpu.size_bytes >= size), None)
            if fit is None:
                short[name] = short.get(name, 0) + 1
            else:
                free.remove(fit)
    if short:
        row["status"] = verdicts.UNKNOWN if stock.silent or stock.unmeasured else verdicts.WARN
        row["short_by"] = _pieces(sum(short.values()))
        missing = ", ".join(f"{name} ({count})" for name, count in short.items())
        row["remedy"] = verdicts.plain(f"Run them one after another, or add GPUs for: {missing}.")
    return row


def _limited(row: verdicts.Row, left_out: tuple[str, ...]) -> None:
    """Turn a row that is not met into a skipped one where hosts were left out: they may hold what is missing."""
    if left_out and row["status"] not in (verdicts.PASS, verdicts.SKIPPED):
        row.update(status=verdicts.SKIPPED, short_by="", remedy="", purchase=None)
        row["found"] = verdicts.plain(f"not judged: this run leaves out {', '.join(left_out)}")


def rows(
    workloads: list[dict[str, Any]], counters: list[Counter], stock: Stock, fleet_hosts: Iterable[str] = ()
) -> list[verdicts.Row]:
    """Return the fleet's rows: of each workload, of all workloads where there is more than one, of each fleet requirement.

    `fleet_hosts`: names of the hosts that belong to the fleet; those that were not read at all were left out of this run.
    """
    found = [row for workload in workloads for row in (judge(workload, stock), *_hosts_need(workload, stock))]
    if len(workloads) > 1:
        found.append(together(workloads, stock))
    for counter in counters:
        demand = counter.demand
        row = _row(demand["id"], demand.get("title", "") or demand["id"], stock, "all hosts of this run")
        found.append(counter.judge(row))
    left_out = tuple(sorted(set(fleet_hosts) - stock.names))
    for row in found:
        _limited(row, left_out)
    return found
