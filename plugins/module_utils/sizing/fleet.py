# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads against the GPUs of all hosts: one row for each workload, and one for all of them at the same time.

A row looks like a host's, with the host `(fleet)`. What cannot be known (a host that was not read, a card whose memory was not)
is never counted: where it could decide, the status is unknown. A run that is limited to some hosts does not judge the fleet by
them: what they do not hold is skipped, and the row says which hosts were left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing import verdicts
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import GIB, gpu_class

FLEET = "(fleet)"
# More is no purchase for one workload, but another plan.
MOST_TO_BUY = 64
EVIDENCE = "accelerators[].memory_bytes of all hosts"


@dataclass(frozen=True)
class Gpu:
    """A GPU whose memory is known."""

    host: str
    size_bytes: float


@dataclass(frozen=True)
class Fleet:
    """All GPUs; how many there may be beside them; which hosts say nothing; whether one of the machines is simulated."""

    gpus: tuple[Gpu, ...]
    unmeasured: int
    silent: tuple[str, ...]
    simulated: bool


def _size(card: dict[str, Any]) -> float | None:
    """A card in slices is as large as its largest slice: four of them are not four cards."""
    mig = card.get("mig")
    instances = mig.get("instances") if isinstance(mig, dict) and mig.get("enabled") else None
    sizes = [card.get("memory_bytes")]
    if isinstance(instances, list) and instances:
        sizes = [one.get("memory_bytes") for one in instances if isinstance(one, dict)]
    known = [size for size in sizes if isinstance(size, (int, float)) and not isinstance(size, bool) and size >= 0]
    return max(known, default=None)


def gather(hosts: dict[str, dict[str, Any]]) -> Fleet:
    """`hosts` is `{name: {facts, error}}`."""
    gpus, unmeasured, silent, simulated = [], 0, [], False
    for name, host in hosts.items():
        facts = host.get("facts")
        cards = facts.get("accelerators") if isinstance(facts, dict) else None
        if host.get("error") or not isinstance(cards, list):
            silent.append(name)
            continue
        simulated = simulated or verdicts.is_simulated(facts)
        for card in cards:
            size = _size(card) if isinstance(card, dict) else None
            if size is None:
                unmeasured += 1
            else:
                gpus.append(Gpu(name, size))
    return Fleet(tuple(gpus), unmeasured, tuple(silent), simulated)


def _row(check: str, title: str, fleet: Fleet) -> verdicts.Row:
    return {
        "host": FLEET,
        "check": check,
        "title": title,
        "status": verdicts.PASS,
        "severity": verdicts.FAIL,
        "required": "",
        "found": "",
        "short_by": "",
        "evidence": EVIDENCE,
        "why": "",
        "remedy": "",
        "waived_by": "",
        "simulated": fleet.simulated,
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
    return verdicts.plain(", ".join(words) or "none")


def _advice(workload: dict[str, Any], fleet: Fleet) -> str:
    """Another number of GPUs that are there, or what more would do, by class; what is there and large enough is used."""
    instead, offers = "", []
    for option in workload["gpu_options"]:
        have = sum(1 for gpu in fleet.gpus if gpu_class(gpu.size_bytes) >= option["class_gb"])
        if have >= option["gpus"]:
            instead = f"It would do on {_pieces(option['gpus'])} that are there: set gpus to {option['gpus']}. "
        elif option["gpus"] - have <= MOST_TO_BUY:
            more = _pieces(option["gpus"] - have, "more GPU")
            offers.append(f"{more} of the {option['class_gb']:.0f} GB class")
    if offers:
        return f"{instead}{'Or add' if instead else 'Add'} {', or '.join(offers)}."
    if instead:
        return instead.strip()
    return "No GPU that is sold holds it as the recipe stands: shard it over more GPUs (sharding), or choose a leaner recipe."


def _limited(row: verdicts.Row, left_out: tuple[str, ...]) -> None:
    """Turn a row that is not met into a skipped one where hosts were left out: they may hold what is missing."""
    if left_out and row["status"] != verdicts.PASS:
        row.update(status=verdicts.SKIPPED, short_by="", remedy="")
        row["found"] = verdicts.plain(f"not judged: this run leaves out {', '.join(left_out)}")


def judge(workload: dict[str, Any], fleet: Fleet) -> verdicts.Row:
    """Return the row of one workload, as `workload_requirements` returns it."""
    need, count = (
        workload["requirements"]["gpu_memory_bytes_per_gpu"],
        int(workload["requirements"]["gpus"]["expected"]),
    )
    row = _row(f"workload.{workload['name']}.gpus", f"GPUs for {workload['name']}", fleet)
    low, expected, high = (need[end] / GIB for end in ("low", "expected", "high"))
    row["required"] = f"{_pieces(count)} with {expected:.1f} GiB ({low:.1f} to {high:.1f})"
    row["why"] = f"{need['formula']}. Source: {need['source']}"
    enough = [gpu for gpu in fleet.gpus if gpu.size_bytes >= need["expected"]]
    perhaps = [gpu for gpu in fleet.gpus if gpu.size_bytes >= need["low"]]
    row["found"] = _found(enough)
    if len(enough) >= count:
        return row
    row["short_by"] = _pieces(count - len(enough))
    row["remedy"] = _advice(workload, fleet)
    if fleet.silent or len(enough) + fleet.unmeasured >= count:
        row["status"] = verdicts.UNKNOWN
        lost = f"; not read: {', '.join(fleet.silent)}" if fleet.silent else ""
        row["evidence"] = verdicts.plain(f"{EVIDENCE}{lost}; GPUs of unknown memory: {fleet.unmeasured}")
    elif len(perhaps) >= count:
        row["status"] = verdicts.WARN
        row["remedy"] = f"It may just fit: try it before anything is bought. {row['remedy']}"
    else:
        row["status"] = verdicts.FAIL
    return row


def together(workloads: list[dict[str, Any]], fleet: Fleet) -> verdicts.Row:
    """Return the row of all workloads at the same time: the hungriest first, each on the smallest cards that do."""
    row = _row("workload.together.gpus", "GPUs for all workloads at the same time", fleet)
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
    row["found"] = _found(fleet.gpus)
    free = sorted(fleet.gpus, key=lambda gpu: gpu.size_bytes)
    short: dict[str, int] = {}
    for size, count, name in wanted:
        for _unused in range(count):
            fit = next((gpu for gpu in free if gpu.size_bytes >= size), None)
            if fit is None:
                short[name] = short.get(name, 0) + 1
            else:
                free.remove(fit)
    if short:
        row["status"] = verdicts.UNKNOWN if fleet.silent or fleet.unmeasured else verdicts.WARN
        row["short_by"] = _pieces(sum(short.values()))
        missing = ", ".join(f"{name} ({count})" for name, count in short.items())
        row["remedy"] = verdicts.plain(f"Run them one after another, or add GPUs for: {missing}.")
    return row


def rows(
    workloads: list[dict[str, Any]], hosts: dict[str, dict[str, Any]], fleet_hosts: Iterable[str] = ()
) -> list[verdicts.Row]:
    """Return a row for each workload, and one for all where there is more than one.

    `fleet_hosts`: names of the hosts that belong to the fleet; those that are not among `hosts` were left out of this run.
    """
    if not workloads:
        return []
    fleet = gather(hosts)
    found = [judge(workload, fleet) for workload in workloads]
    if len(workloads) > 1:
        found.append(together(workloads, fleet))
    left_out = tuple(sorted(set(fleet_hosts) - set(hosts)))
    for row in found:
        _limited(row, left_out)
    return found
