# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a GPU host: what the driver reports, held against what the PCI bus said before."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import (
    proof_amd,
    proof_dcgm,
    proof_expected,
    proof_kernel_log,
    proof_link,
    proof_module,
    proof_nvidia,
    proof_record,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.proof_rows import (
    FAIL,
    PASS,
    PENDING,
    SKIPPED,
    UNKNOWN,
    lines,
    overall,
    row,
)
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Broken, Tree

# A card that is asked for the first time after a start has to be initialised, eight take longer.
PAUSE_SECONDS = 5
# nvidia-smi answers once all cards are initialised: one that it does not tell of then hardly comes later.
SETTLE_SECONDS = 15


@dataclass
class Wanted:
    """What the host shall have. The fields are the options of the module gpu_driver_check."""

    hardware: dict[str, Any]
    vendor: str
    version: str | None = None
    branch: int | None = None
    flavour: str | None = None
    # Whether this is a container that gets its GPUs from its host, all or some.
    container: bool = False
    # Whether a module of the driver has to be on the disk: not where the kernel's own one is used.
    module: bool = True
    # The release of the kernel that runs now: another one than before, after a reboot.
    running: str | None = None
    kernel_releases: list[str] = field(default_factory=list)
    validation: str = "quick"
    diagnosis: str | None = None
    reboot_pending: bool = False
    wait: int = 0
    facts_file: str = proof_record.FACTS


@dataclass
class Host:
    """The ways to ask the host."""

    tree: Tree
    # The same, also where `tree` is a simulated machine: what this collection wrote is read from there.
    files: Tree
    ask: proof_nvidia.Ask
    # The driver's modules on the disk.
    modules: Callable[[], proof_module.Modules]
    kernel_log: Callable[[], str | None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class Told:
    """What the driver told."""

    gpus: dict[str, dict[str, Any]]
    driver_version: str | None = None
    cuda_version: str | None = None
    problem: str | None = None


def _ask_once(wanted: Wanted, host: Host, addresses: list[str]) -> Told:
    if wanted.vendor == "amd":
        return Told(proof_amd.look(host.tree))
    found = proof_nvidia.look(host.ask, addresses)
    return Told(found["gpus"], found["driver_version"], found["cuda_version"], found["problem"])


def ask(wanted: Wanted, host: Host, addresses: list[str]) -> Told:
    """Ask until all GPUs answer and the fabric has taken them in, or `wait` seconds are over."""
    begin = host.clock()
    while True:
        told = _ask_once(wanted, host, addresses)
        limit = _limit(wanted, told, addresses)
        if host.clock() - begin + PAUSE_SECONDS > limit:
            return told
        host.sleep(PAUSE_SECONDS)


def _limit(wanted: Wanted, told: Told, addresses: list[str]) -> int:
    """How many seconds an answer such as this one is worth to wait for a better one."""
    if re.search(r"not installed|version mismatch", told.problem or ""):
        return 0
    if any((gpu.get("health") or {}).get("fabric") not in (None, "completed") for gpu in told.gpus.values()):
        return wanted.wait
    if set(addresses) <= set(told.gpus):
        return 0
    # amdgpu takes its cards one after the other, and a driver that does not answer at all may be starting.
    return min(wanted.wait, SETTLE_SECONDS) if told.gpus and wanted.vendor == "nvidia" else wanted.wait


def _quick(wanted: Wanted, host: Host, expected: dict[str, dict[str, Any]], told: Told) -> list[dict[str, Any]]:
    """ECC, the driver's own complaints, link width, the kernel's log, ways between the cards."""
    gpus = list(told.gpus.values())
    nvidia = wanted.vendor == "nvidia"
    rows = [(proof_nvidia if nvidia else proof_amd).ecc(gpu) for gpu in gpus]
    rows += [proof_link.width(expected.get(gpu["pci_address"], {}), gpu) for gpu in gpus]
    if nvidia:
        rows += [entry for gpu in gpus for entry in proof_nvidia.state(gpu)]
        rows += proof_kernel_log.judge(host.kernel_log())
    if len(gpus) < 2:
        return rows
    if not nvidia:
        return rows + proof_amd.p2p(host.tree, list(told.gpus))
    if any(gpu["mig"]["enabled"] for gpu in gpus):
        return [*rows, row("p2p", SKIPPED, "MIG is on: slices do not reach each other")]
    try:
        text = host.ask(("topo", "-p2p", "r")).decode("utf-8", "replace")
    except Broken as error:
        return [*rows, row("p2p", UNKNOWN, str(error))]
    switches = (wanted.hardware.get("fabric") or {}).get("nvswitches")
    return rows + proof_nvidia.p2p(text, gpus, bool(switches))


def _module(wanted: Wanted, host: Host) -> tuple[list[dict[str, Any]], dict[str, str | None]]:
    """The rows of the kernel module, and what is loaded."""
    now = proof_module.loaded(host.tree, wanted.vendor)
    if not wanted.module or wanted.container:
        return [], now
    found = host.modules()
    asked = {"version": wanted.version, "branch": wanted.branch, "flavour": wanted.flavour}
    releases = wanted.kernel_releases or [str(wanted.running)]
    rows = proof_module.rows(wanted.vendor, releases, found, asked)
    running = found.get(str(wanted.running))
    if now["version"] is None and running:
        now = {**now, "flavour": running.get("flavour")}
    return rows + proof_module.running(wanted.vendor, running, now, wanted.reboot_pending), now


def _versions(wanted: Wanted, told: Told, rows: list[dict[str, Any]]) -> None:
    """A row on whether the driver that answers is the one that was chosen."""
    version = told.driver_version
    if wanted.vendor != "nvidia" or version is None:
        return
    if wanted.version and not proof_module.same(version, wanted.version):
        wrong: str | None = wanted.version
    else:
        wrong = f"branch {wanted.branch}" if wanted.branch and proof_record.branch(version) != wanted.branch else None
    mend = (
        "Another driver answers than was installed: reboot the host, and look for a second one (`dpkg -S nvidia-smi`)"
    )
    found = f"the driver {version} answers"
    rows.append(row("driver", FAIL, found, wrong, mend) if wrong else row("driver", PASS, found))


def check(wanted: Wanted, host: Host) -> dict[str, Any]:
    """All rows, the verdict, the lines for people, and the facts to keep (None where the host is not proven)."""
    cards = proof_expected.cards(wanted.hardware, wanted.vendor)
    addresses = [card["pci_address"] for card in cards if card["pci_address"]]
    last = proof_record.read(host.files, wanted.facts_file)
    rows, now = _module(wanted, host)
    told = Told({})
    reachable = not wanted.container or host.tree.exists("/dev/nvidiactl") or host.tree.exists("/dev/kfd")
    if not cards:
        rows.append(row("count", PASS, "the PCI bus has no GPU of this vendor: there is none to ask"))
    elif overall(rows) == PENDING or wanted.reboot_pending:
        rows.append(row("count", PENDING, f"{len(cards)} GPUs on the bus are asked after the reboot"))
    elif wanted.validation == "none":
        rows.append(row("count", SKIPPED, f"{len(cards)} GPUs on the bus, not asked: the validation is none"))
    elif not reachable:
        rows.append(row("count", SKIPPED, "no GPU was handed to this container: there is none to ask"))
    else:
        told = ask(wanted, host, addresses)
        rows += _answers(wanted, host, cards, told, last)
    verdict = overall(rows)
    driver = {
        "version": told.driver_version or now["version"],
        "flavour": now["flavour"],
        "cuda_version": told.cuda_version,
    }
    proven = bool(told.gpus) and verdict in (PASS, UNKNOWN)
    return {
        "verdict": verdict,
        "rows": rows,
        "lines": lines(rows),
        "driver": driver,
        "facts": proof_record.facts(wanted.vendor, driver, cards, told.gpus) if proven else None,
        "last": last,
    }


def _answers(
    wanted: Wanted, host: Host, cards: list[dict[str, Any]], told: Told, last: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """The rows on the GPUs themselves."""
    if told.problem:
        return [
            row("driver", FAIL, told.problem, remedy=proof_nvidia.remedy(told.problem)),
            row("count", FAIL, f"0 of {len(cards)} GPUs answer"),
        ]
    rows: list[dict[str, Any]] = []
    _versions(wanted, told, rows)
    if not wanted.container:
        rows += proof_expected.presence(cards, told.gpus, wanted.vendor)
    else:
        # A container may have been given some of the host's GPUs only.
        rows.append(row("count", PASS, f"{len(told.gpus)} of the host's {len(cards)} GPUs answer in this container"))
    missing = {card["pci_address"] for card in cards} - set(told.gpus)
    rows += proof_expected.since_last(last, told.gpus, missing, wanted.facts_file)
    for card in cards:
        gpu = told.gpus.get(card["pci_address"])
        if gpu:
            rows += [proof_expected.model(card, gpu), proof_expected.memory(card, gpu)]
    rows += _quick(wanted, host, {card["pci_address"]: card for card in cards}, told)
    if wanted.validation == "burn":
        rows += _burn(wanted, list(told.gpus))
    return rows


def _burn(wanted: Wanted, gpus: list[str]) -> list[dict[str, Any]]:
    if wanted.vendor != "nvidia":
        return [row("burn", SKIPPED, "DCGM is for NVIDIA's GPUs only")]
    if wanted.diagnosis is None:
        return [row("burn", UNKNOWN, "the diagnosis was not run")]
    return proof_dcgm.judge(wanted.diagnosis, gpus)
