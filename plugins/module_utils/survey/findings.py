# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What will get in the way, in words: the rows that a survey of one host gives a reader.

A row has host, check (a stable id, at most once for each host), title, status (`warn`, `info`, `unknown`), found, remedy
and evidence (the facts it stands on). What is in order gives no row. Surveys come from hosts: nothing in them raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.verdicts import plain
from ansible_collections.mlops.onprem.plugins.module_utils.survey.matrix import records
from ansible_collections.mlops.onprem.plugins.module_utils.survey.reach import OPEN

WARN, INFO, UNKNOWN = "warn", "info", "unknown"
MOST_NAMED = 5
# containerd below docker or kubelet is no engine of its own.
ENGINES = ("docker", "podman", "cri-o")
PTP = ("ptp4l", "phc2sys")


class Finding(NamedTuple):
    """A row without its host."""

    check: str
    title: str
    status: str
    found: str
    remedy: str
    evidence: str


Finder = Callable[[dict[str, Any]], Iterator[Finding]]


def _some(texts: list[str]) -> str:
    shown = ", ".join(plain(text, 120) for text in texts[:MOST_NAMED])
    return shown + (f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else "")


def _value(survey: dict[str, Any], section: str, name: str) -> Any:
    part = survey.get(section)
    return part.get(name) if isinstance(part, dict) else None


def _texts(survey: dict[str, Any], section: str, name: str) -> list[str]:
    value = _value(survey, section, name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def ports_taken(survey: dict[str, Any], ports: Mapping[Any, Any]) -> Iterator[Finding]:
    """Ports that a role wants and another program has.

    `ports`: role by port, or a dictionary with `role` and `programs`, the names of the role's own processes.
    """
    for port, wanted in ports.items():
        role = wanted.get("role", "") if isinstance(wanted, Mapping) else wanted
        own = wanted.get("programs", ()) if isinstance(wanted, Mapping) else ()
        taken = [
            item
            for item in records(survey, "listeners")
            if item.get("protocol") == "tcp" and str(item.get("port")) == str(port) and item.get("program") not in own
        ]
        if not taken:
            continue
        holders = []
        for item in taken:
            program = item.get("program")
            name = (
                "a program that could not be seen"
                if program is None
                else f"{plain(program)} (pid {plain(item.get('pid'))})"
            )
            holders.append(f"{name} at {plain(item.get('address'))}")
        remedy = f"Stop that program, move it, or give {role} another port."
        if any(item.get("program") is None for item in taken):
            remedy += " Survey as root (become) to see which it is."
        title = f"Port {port} for {role}"
        yield Finding(
            f"survey.port.{port}", title, WARN, "taken by " + _some(list(dict.fromkeys(holders))), remedy, "listeners"
        )


def engines(survey: dict[str, Any]) -> Iterator[Finding]:
    """More than one container engine, and schedulers that give out the same GPUs."""
    found = [str(item.get("name")) for item in records(survey, "containers", "engines") if item.get("name") in ENGINES]
    if len(found) > 1:
        remedy = (
            "Choose the one that jobs are to use, and set it in the roles; two of them share neither images nor GPUs."
        )
        yield Finding("survey.engines", "Container engines", WARN, _some(found), remedy, "containers.engines")
    for fact, name in (("kubernetes_node", "Kubernetes"), ("slurm_node", "Slurm")):
        if _value(survey, "containers", fact) is True:
            remedy = f"Let {name} give out the GPUs, or take the host out of it: a runner beside it uses the same cards unseen."
            found_text = f"the host serves {name}"
            yield Finding(f"survey.{fact}", "Scheduler", WARN, found_text, remedy, f"containers.{fact}")


def packages(survey: dict[str, Any]) -> Iterator[Finding]:
    """A driver from outside the package manager, packages in pieces, packages that are held."""
    traces = _texts(survey, "packages", "nvidia_installer")
    if traces:
        remedy = (
            "Remove that driver with nvidia-uninstall and restart the host before packages of the driver are installed."
        )
        yield Finding(
            "survey.nvidia_installer",
            "NVIDIA driver from a .run file",
            WARN,
            _some(traces),
            remedy,
            "packages.nvidia_installer",
        )
    broken = [f"{item.get('name')} ({item.get('state')})" for item in records(survey, "packages", "broken")]
    if broken:
        remedy = "Run `dpkg --configure -a` and `apt-get --fix-broken install`; until then no package can be installed."
        yield Finding("survey.packages_broken", "Packages in pieces", WARN, _some(broken), remedy, "packages.broken")
    held = _texts(survey, "packages", "held")
    if held:
        versions = _value(survey, "packages", "versions")
        matters = isinstance(versions, dict) and any(name in versions for name in held)
        remedy = "Ask who holds them and why; a role that needs another version fails. `apt-mark unhold` or `dnf versionlock delete` ends it."
        status = WARN if matters else INFO
        yield Finding("survey.packages_held", "Packages that are held", status, _some(held), remedy, "packages.held")


def times(survey: dict[str, Any]) -> Iterator[Finding]:
    """A clock that nobody keeps right, or two services do."""
    services = _texts(survey, "time", "services")
    known = _value(survey, "time", "synchronized")
    title = "Clock synchronised"
    running = f"services that run: {_some(services) or 'none'}"
    if known is None:
        remedy = "Look with `timedatectl` on the host."
        yield Finding("survey.time_sync", title, UNKNOWN, f"not known; {running}", remedy, "time.synchronized")
    elif known is not True:
        # PTP sets the clock without telling the kernel that it is right.
        status = INFO if any(name in PTP for name in services) else WARN
        remedy = "Set up chrony with the site's time servers. On a virtual machine whose hypervisor sets the clock, compare the clocks."
        yield Finding("survey.time_sync", title, status, f"the kernel says no; {running}", remedy, "time.synchronized")
    rivals = [name for name in services if name not in PTP]
    if len(rivals) > 1:
        remedy = "Keep one of them; two set the clock against each other."
        yield Finding("survey.time_services", "Time services", WARN, _some(rivals), remedy, "time.services")


def names(survey: dict[str, Any]) -> Iterator[Finding]:
    """Names that the host cannot find, its own among them."""
    unknown = [
        f"{item.get('name')} ({item.get('reason')})"
        for item in records(survey, "dns", "names")
        if item.get("asked") is True and item.get("addresses") is None
    ]
    if unknown:
        servers = _some(_texts(survey, "dns", "nameservers")) or "none"
        remedy = f"Put the names into the site's DNS, or into /etc/hosts. Name servers of the host: {servers}."
        yield Finding("survey.names", "Names that are not found", WARN, _some(unknown), remedy, "dns.names")
    own = plain(_value(survey, "dns", "hostname"))
    addresses = _texts(survey, "dns", "own_addresses")
    if _value(survey, "dns", "own_name_loopback_only") is True:
        remedy = "Give the name its address in /etc/hosts or DNS: a service that tells others its name, as distributed training does, sends them to themselves."
        yield Finding(
            "survey.own_name", "The host's own name", WARN, f"{own} is {_some(addresses)}", remedy, "dns.own_addresses"
        )
    elif not addresses and _value(survey, "dns", "own_addresses") is not None:
        remedy = "Put the host's name into DNS or /etc/hosts."
        yield Finding(
            "survey.own_name", "The host's own name", WARN, f"{own} has no address", remedy, "dns.own_addresses"
        )


def sources(survey: dict[str, Any]) -> Iterator[Finding]:
    """Package sources that do not answer; here, a refusal is none."""
    silent = []
    for item in records(survey, "sources"):
        answer = item.get("answer")
        if item.get("enabled") is True and isinstance(answer, str) and answer != OPEN:
            via = item.get("via")
            silent.append(f"{plain(item.get('url'), 100)} ({answer}{'' if via == 'direct' else f' by {plain(via)}'})")
    if silent:
        remedy = "Open the way to it or to its proxy, point the source at a mirror of the site, or disable it: package managers wait for each."
        yield Finding("survey.sources", "Package sources that do not answer", WARN, _some(silent), remedy, "sources")


def changes(survey: dict[str, Any]) -> Iterator[Finding]:
    """A reboot that is due, and updates that come by themselves."""
    if _value(survey, "limits", "reboot_required") is True:
        by = _some(_texts(survey, "limits", "reboot_packages"))
        remedy = "Restart the host first: a driver is built for the kernel that runs, and gone with the next start."
        found = f"due, for {by}" if by else "due"
        yield Finding("survey.reboot", "Reboot", WARN, found, remedy, "limits.reboot_required")
    updates = _texts(survey, "limits", "automatic_updates")
    if updates:
        remedy = "Leave kernel and driver out of them: a driver library that is newer than the loaded module fails all new GPU jobs."
        yield Finding(
            "survey.automatic_updates", "Automatic updates", INFO, _some(updates), remedy, "limits.automatic_updates"
        )


FINDERS: tuple[Finder, ...] = (engines, packages, times, names, sources, changes)


def survey_findings(host: str, survey: object, ports: Mapping[Any, Any] | None = None) -> list[dict[str, Any]]:
    """The rows of one host. `survey`: its `mlops_survey`; None gives one `unknown` row. `ports`: as in `ports_taken`."""
    if not isinstance(survey, dict):
        found = [
            Finding("survey.facts", "Survey", UNKNOWN, "not surveyed", "Run mlops.onprem.survey_facts on the host.", "")
        ]
    else:
        found = [*ports_taken(survey, ports or {})]
        for finder in FINDERS:
            found.extend(finder(survey))
    return [{"host": host, **finding._asdict()} for finding in found]
