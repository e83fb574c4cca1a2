# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a selection put on a host beside their packages: folders, files, units, groups, a MIG layout.

All of it is lists, so that one execution finds what differs. The packages are in the driver's own transaction.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import parts_host_docker as docker
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import parts_host_mig as mig
from ansible_collections.mlops.onprem.plugins.module_utils.gpu import parts_host_units as units
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.amd import OLD_TREE
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.candidates import driver_version
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.generations import NVLINK5
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host_look import (
    CDI_DROP_IN,
    IMEX_NODES,
    ROCM_LIBRARIES,
    STATE,
    UDEV,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.parts_host_versions import numbers
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Refusal

RUNTIMES = ("docker", "podman", "containerd")
# A CDI specification of version 0.7 names groups of devices; older runtimes read none of it.
CDI_07 = {"docker": (26, 1), "podman": (5, 1), "containerd": (1, 7, 16)}
OLD_CDI = "no-additional-gids-for-device-nodes"
# The first toolkit that keeps the CDI specification up to date by itself.
CDI_REFRESH_FIRST = (1, 18)
# mig-parted's hooks write override.conf with a layout alone whenever one is applied by hand; later names win.
MIG_DROP_IN = f"{units.folder(units.MIG)}/zz-{units.NAME}"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


@dataclass
class Plan:
    """What to provide. `refused` holds reasons with remedies, all of them at once."""

    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    directories: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    # Run now and at boot; at boot only.
    units: list[str] = field(default_factory=list)
    enabled: list[str] = field(default_factory=list)
    # Names of readers that have to read a file again: docker, containerd, imex, cdi, ldconfig, links.
    apply: list[str] = field(default_factory=list)
    # Whether nvidia-ctk has to write containerd's drop-in.
    containerd: bool = False
    # group: users that it lacks
    groups: dict[str, list[str]] = field(default_factory=dict)
    mig: dict[str, Any] | None = None
    # Names of the programs that work on the GPUs. systemd must not read its units again under them.
    busy: list[str] = field(default_factory=list)
    # What takes all of it back.
    undo: dict[str, Any] = field(default_factory=dict)

    def refuse(self, refusal: Refusal) -> None:
        self.refused.append(f"{refusal.reason} {refusal.remedy}")

    def file(self, path: str, content: str, **more: Any) -> None:
        self.files.append({"path": path, "content": content, **more})

    def drop_in(self, unit: str, content: str) -> None:
        self.directories.append({"path": units.folder(unit)})
        self.file(f"{units.folder(unit)}/{units.NAME}", content)

    def read_again(self, reader: str, changes: bool, look: dict[str, Any]) -> None:
        """Have a reader read its file again, also when a run was killed before it did. Before the file itself is listed."""
        if changes:
            # What was written and not read leaves its mark.
            self.file(f"{STATE}/restart-{reader}", f"{reader}\n")
        if changes or reader in look["pending"]:
            self.apply.append(reader)

    def file_with_reader(self, path: str, content: str, reader: str, look: dict[str, Any]) -> None:
        self.read_again(reader, look["texts"].get(path) != content, look)
        self.directories.append({"path": path.rsplit("/", 1)[0]})
        self.file(path, content)


def busy(processes: list[dict[str, Any]]) -> list[str]:
    """Commands of the processes that work on the GPUs: not those of the driver's own daemons."""
    return sorted({str(process["command"]) for process in processes if not process["daemon"]})


def running(chosen: dict[str, Any], found: dict[str, Any], loaded: str | None) -> bool:
    """Whether daemons can start now: the module is loaded, and of the version that they are of."""
    wanted = driver_version(chosen.get("version") or "")
    return not found.get("container") and loaded is not None and wanted in (None, loaded)


def present(chosen: dict[str, Any]) -> list[str]:
    """The parts that a selection brings."""
    names = {row["part"] for row in [*chosen.get("packages", []), *chosen.get("downloads", [])]}
    return sorted(names - {"kernel_module", "driver", "utilities", "headers", "pinning", "extra"})


def _services(plan: Plan, chosen: dict[str, Any], cards: list[dict[str, Any]], switches: int, now: bool) -> None:
    modules = list(chosen.get("load_modules") or [])
    start = plan.units if now else plan.enabled
    if "persistence" in plan.parts:
        plan.drop_in(units.PERSISTENCE, units.persistence())
        start.append(units.PERSISTENCE)
    if "fabric_manager" in plan.parts:
        plan.drop_in(units.FABRIC_MANAGER, units.fabric_manager(modules))
        # It ends with an error where there is no switch.
        fabric = switches > 0 or any(card.get("pci_id") in NVLINK5 for card in cards)
        (start if fabric else plan.enabled).append(units.FABRIC_MANAGER)
    if "dcgm" in plan.parts:
        plan.drop_in(units.DCGM, units.gpu())
        start.append(units.DCGM)


def _imex(plan: Plan, nodes: list[Any], look: dict[str, Any], now: bool) -> None:
    wrong = [node for node in nodes if not _is_host(node)]
    if wrong:
        plan.refuse(
            Refusal(
                f"gpu_driver_imex_nodes: {wrong[0]!r} is no IP address and no host name.",
                "Name each host of the NVLink domain, this one too, the same list on all of them.",
            )
        )
        return
    plan.drop_in(units.IMEX, units.gpu())
    if not nodes:
        plan.notes.append("IMEX is installed and not started: gpu_driver_imex_nodes names no hosts.")
        return
    text = "".join(f"{node}\n" for node in nodes)
    # No line of ours in it: the daemon compares nothing but addresses.
    plan.file_with_reader(IMEX_NODES, text, "imex", look)
    (plan.units if now else plan.enabled).append(units.IMEX)


def _is_host(node: Any) -> bool:
    try:
        ipaddress.ip_address(str(node))
    except ValueError:
        return isinstance(node, str) and bool(_HOST.fullmatch(node)) and not re.fullmatch(r"[0-9.]+", node)
    return True


def runtimes(wanted: Any, look: dict[str, Any]) -> list[str] | Refusal:
    """The container runtimes to set up: those that are named, or those that the host has.

    containerd is there wherever Docker is. By itself it counts without Docker, or with a kubelet.
    """
    if wanted in ("auto", ["auto"], None):
        have = [name for name in RUNTIMES if look[name]["installed"]]
        alone = look["containerd"]["cri"] and (not look["docker"]["installed"] or look["containerd"]["kubelet"])
        return [name for name in have if name != "containerd" or alone]
    if not isinstance(wanted, list) or any(name not in RUNTIMES for name in wanted):
        return Refusal(
            f"gpu_driver_container_runtimes is {wanted!r}.", f"Set it to auto, or to a list of {', '.join(RUNTIMES)}."
        )
    return list(wanted)


def _toolkit(plan: Plan, chosen: dict[str, Any], look: dict[str, Any], wanted: Any, now: bool) -> None:
    named = runtimes(wanted, look)
    if isinstance(named, Refusal):
        plan.refuse(named)
        return
    for name in named:
        if not look[name]["installed"]:
            plan.notes.append(f"{name} is not on the host yet: run the role again once it is.")
    # Links in /dev/char, for containers that are started from now on: without them, they lose their GPUs when systemd
    # reads its units again.
    rule = 'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all"'
    plan.directories.append({"path": UDEV.rsplit("/", 1)[0]})
    plan.file(UDEV, units.HEAD + rule + "\n")
    if now and look.get("unlinked"):
        plan.apply.append("links")
    version = next((row["version"] for row in chosen["packages"] if row["part"] == "container_toolkit"), None)
    if version is None or numbers(version) >= CDI_REFRESH_FIRST:
        old = [name for name in named if look[name]["version"] and numbers(look[name]["version"]) < CDI_07[name]]
        if old:
            plan.file_with_reader(CDI_DROP_IN, units.cdi(OLD_CDI), "cdi", look)
            plan.notes.append(f"The CDI specification is written without groups of devices, for {', '.join(old)}.")
        plan.enabled.append(units.CDI)
        (plan.units if now else plan.enabled).append(units.CDI_PATH)
    else:
        plan.notes.append(f"Container toolkit {version} does not keep the CDI specification up to date; 1.18 does.")
    if "docker" in named and look["docker"]["installed"]:
        _docker(plan, look)
    if "containerd" in named and look["containerd"]["installed"]:
        kept = look["containerd"]["configured_for"] in (None, look["containerd"]["sha256"])
        plan.containerd = not (look["containerd"]["configured"] and kept)
        plan.read_again("containerd", plan.containerd, look)


def _docker(plan: Plan, look: dict[str, Any]) -> None:
    found = look["docker"]
    if found["error"]:
        plan.refuse(Refusal(f"{found['error']}.", "Mend it, or leave docker out of gpu_driver_container_runtimes."))
        return
    merged = docker.merge(found["config"], found["version"])
    if isinstance(merged, Refusal):
        plan.refuse(merged)
        return
    plan.notes += merged.notes
    plan.read_again("docker", merged.text is not None, look)
    if merged.text is None:
        return
    checks = found["version"] and numbers(found["version"]) >= docker.VALIDATE_FIRST
    check = {"validate": "dockerd --validate --config-file=%s"} if checks else {}
    plan.directories.append({"path": docker.PATH.rsplit("/", 1)[0]})
    plan.file(docker.PATH, merged.text, **_owner(found), **check)


def _owner(found: dict[str, Any]) -> dict[str, str]:
    return {"owner": str(found["owner"]), "group": str(found["group"]), "mode": found["mode"]}


def _mig(plan: Plan, chosen: dict[str, Any], cards: list[dict[str, Any]], look: dict[str, Any], options: dict[str, Any],
         now: bool) -> None:  # fmt: skip
    layout = str(options["mig"])
    if chosen.get("vendor") != "nvidia" or (cards and all(mig.has_none(card) for card in cards)):
        if layout != "all-disabled":
            names = ", ".join(sorted({str(card.get("name") or card.get("pci_id")) for card in cards}))
            plan.refuse(
                Refusal(
                    f"gpu_driver_mig is {layout}, and the GPUs of the host have no MIG ({names}).",
                    "Set gpu_driver_mig for the hosts that have it only.",
                )  # fmt: skip
            )
        return
    text = mig.choose(layout, options.get("mig_config") or {}, cards)
    if isinstance(text, Refusal):
        plan.refuse(text)
        return
    if "mig_parted" not in plan.parts:
        plan.refuse(Refusal("gpu_driver_mig needs mig-parted.", "Take mig_parted: false out of gpu_driver_parts."))
        return
    plan.directories += [{"path": mig.PATH.rsplit("/", 1)[0]}, {"path": units.folder(units.MIG)}]
    plan.file(mig.PATH, text)
    plan.file(MIG_DROP_IN, units.mig(mig.PATH, layout))
    plan.enabled.append(units.MIG)
    plan.mig = {
        "layout": layout,
        "file": mig.PATH,
        "config": text,
        # On a host in check mode, the program is not there yet.
        "now": now and look["mig_parted"],
    }


def _amd(plan: Plan, chosen: dict[str, Any], look: dict[str, Any]) -> None:
    if chosen.get("version") in OLD_TREE and any(row["part"] == "driver" for row in chosen["packages"]):
        # Packages of the old tree leave this to people.
        plan.file_with_reader(ROCM_LIBRARIES, units.HEAD + "/opt/rocm/lib\n/opt/rocm/lib64\n", "ldconfig", look)


def _groups(plan: Plan, chosen: dict[str, Any], look: dict[str, Any], users: list[Any]) -> None:
    if not chosen.get("groups") or not users:
        return
    missing = [str(name) for name in users if name in (look.get("missing_users") or [])]
    if missing:
        plan.refuse(
            Refusal(
                f"gpu_driver_users names {', '.join(missing)}, and the host does not know this user.",
                "Make the user first, or take it out of gpu_driver_users.",
            )
        )
    for group in chosen["groups"]:
        members = (look.get("groups") or {}).get(group)
        lacking = [str(name) for name in users if name not in (members or []) and str(name) not in missing]
        if lacking:
            plan.groups[group] = lacking


def undo(look: dict[str, Any]) -> dict[str, Any]:
    """What takes the parts back: own files, whichever of them are there, and Docker's file without this role's entry.

    NVIDIA's drop-in for containerd is one that any tool may have written, and stays.
    """
    services = (units.PERSISTENCE, units.FABRIC_MANAGER, units.IMEX, units.DCGM, units.CDI)
    drop_ins = [f"{units.folder(unit)}/{units.NAME}" for unit in services]
    files: list[dict[str, Any]] = [
        {"path": path, "content": None} for path in (*drop_ins, MIG_DROP_IN, mig.PATH, UDEV, ROCM_LIBRARIES)
    ]
    text = docker.without(look["docker"]["config"])
    if text is not None:
        files.append({"path": docker.PATH, "content": text, **_owner(look["docker"])})
    # What others brought and run, without a file of this role, is theirs.
    return {"files": files, "stopped": list(look["configured"]), "apply": [] if text is None else ["docker"]}


def plan(
    chosen: dict[str, Any], hardware: dict[str, Any], found: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """The plan as plain data.

    `chosen`: what gpu_driver_packages returned. `hardware`: the facts. `found`: what gpu_driver_info returned, with
    `parts` of `parts_host_look.look`. `options`: mig, mig_config, container_runtimes, users, imex_nodes, and
    `loaded_version` where the module was loaded after `found`.
    """
    result = Plan(parts=present(chosen))
    look = found["parts"]
    cards = [card for card in hardware.get("accelerators") or [] if card.get("vendor") == chosen.get("vendor")]
    loaded = options.get("loaded_version") or (found.get("loaded") or {}).get("version")
    now = running(chosen, found, loaded) and bool(cards)
    result.busy = busy(found.get("processes") or [])
    result.undo = undo(look)
    if chosen.get("vendor") == "nvidia":
        switches = (hardware.get("fabric") or {}).get("nvswitches") or 0
        _services(result, chosen, cards, switches, now)
        if "imex" in result.parts:
            _imex(result, options.get("imex_nodes") or [], look, now)
        if "container_toolkit" in result.parts:
            _toolkit(result, chosen, look, options.get("container_runtimes"), now)
    else:
        _amd(result, chosen, look)
    if options.get("mig"):
        _mig(result, chosen, cards, look, options, now)
    _groups(result, chosen, look, options.get("users") or [])
    if any(entry["path"].startswith(f"{STATE}/") for entry in result.files):
        result.directories.append({"path": STATE})
    return dict(vars(result))
