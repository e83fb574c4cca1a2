# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a host so that it has the driver that is wanted: the selection held against what is there.

Pure: from facts, options and what gpu_driver_info saw to lists of things to do, or to the reasons not to begin. All
reasons come at once, and none of them waits until something was changed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu import (
    host_builds,
    host_files,
    host_signing,
    host_versions,
)
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.flavour import unfit
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_keys import plain
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_packages import OURS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import OPTIONS
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import CORE, Refusal, Result, Selection, as_data
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.selection import select
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.unverified import UNVERIFIED

# Options of the role that are none of the selection's.
OWN_OPTIONS = ("upgrade", "remove_foreign_sources", "drains", "refreshed")
# What NVIDIA's own instructions for the container toolkit have people write.
KNOWN_LEFTOVERS = ("/etc/apt/sources.list.d/nvidia-container-toolkit.list",)


def plan(hardware: dict[str, Any], options: dict[str, Any], info: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what to look at (without `info`), or what to do. Raises OptionError for options of a wrong type."""
    own = {name: bool(options.get(name)) for name in OWN_OPTIONS}
    given = {name: value for name, value in options.items() if name in OPTIONS}
    if info is None:
        return _questions(select(hardware, given))
    return _Planner(hardware, given, own, info).plan()


def _questions(first: Result) -> dict[str, Any]:
    chosen = first if isinstance(first, Selection) else Selection()
    named = [package.name for package in [*chosen.first, *chosen.headers, *chosen.packages]]
    return {
        "idle": chosen.nothing or "",
        "refused": [_sentence(first)] if isinstance(first, Refusal) else [],
        "chosen": as_data(first, UNVERIFIED),
        "packages": sorted({*named, *chosen.remove}),
        "files": host_files.paths(chosen),
        "key_files": [repository.key_file for repository in chosen.repositories],
        "repositories": [repository.url for repository in chosen.repositories],
    }


def _sentence(refusal: Refusal) -> str:
    return f"{refusal.reason} {refusal.remedy}"


class _Planner:
    """One host's plan."""

    def __init__(
        self, hardware: dict[str, Any], given: dict[str, Any], own: dict[str, bool], info: dict[str, Any]
    ) -> None:
        self.hardware, self.given, self.own, self.info = hardware, dict(given), own, info
        self.refused: list[str] = []
        self.notes: list[str] = []
        self.installed = host_versions.Installed()
        self.host = not info["container"] or bool(given.get("kernel_releases"))

    def plan(self) -> dict[str, Any]:
        first = self._first()
        if isinstance(first, Refusal):
            return self._result(first, {})
        self.installed = host_versions.installed(self.info["packages"], first.vendor)
        self._refuse_exchange(first)
        if self.refused:
            self._refuse_on_host(first, [])
            return self._result(first, {})
        if not self._known(first) and not self.own["refreshed"]:
            # The lists have to be fetched, perhaps from a repository that is not there yet: then this is asked again.
            self._refuse_on_host(first, [])
            return self._result(first, {})
        keep = not self.own["upgrade"]
        same = self.installed.branch == str(first.branch)
        wanted = self.given.get("version") or (self.installed.version if keep and same else None)
        driver = host_versions.target(first, self.info["versions"], wanted)
        versions = host_versions.available(first, self.info, driver, keep)
        chosen = select(self.hardware, {**self.given, "available": versions})
        if isinstance(chosen, Selection):
            self._refuse_on_host(chosen, self._words(chosen, versions))
        return self._result(chosen, versions)

    # The selection

    def _first(self) -> Result:
        """The selection by facts alone, with what an installed driver decides."""
        kernel = self.info["kernel"]
        if self.host and not self.given.get("kernel_releases"):
            # What boots next has to have its module, too.
            releases = [kernel["running"], kernel["next"]]
            self.given["kernel_releases"] = list(dict.fromkeys(release for release in releases if release))
        first = select(self.hardware, self.given)
        if isinstance(first, Refusal) or first.vendor != "nvidia":
            return first
        there = host_versions.installed(self.info["packages"], "nvidia")
        named = first.source == "distribution" and first.family != "ubuntu"
        if (
            there.branch
            and not named
            and self.given.get("branch") in (None, "", "auto")
            and not self.given.get("version")
        ):
            kept = select(self.hardware, {**self.given, "branch": there.branch})
            if isinstance(kept, Selection):
                self.given["branch"], first = there.branch, kept
        if (
            there.flavour not in (None, first.flavour)
            and self.given.get("flavour") in (None, "", "auto")
            and unfit(first.generations, first.branch or 0, str(there.flavour)) is None
        ):
            kept = select(self.hardware, {**self.given, "flavour": there.flavour})
            if isinstance(kept, Selection):
                self.given["flavour"], first = there.flavour, kept
        return first

    def _known(self, chosen: Selection) -> bool:
        """Whether apt's lists can tell all that the selection needs."""
        if self._keys(chosen) or any(self._differs(*host_files.source(item)) for item in chosen.repositories):
            return False
        components = host_files.components(chosen.components, self.info["distribution"])
        if self._differs(host_files.COMPONENTS, components):
            return False
        needed = [package for package in [*chosen.first, *chosen.headers, *chosen.packages] if package.required]
        there = {**self.info["versions"], **self.info["packages"]}
        return all(package.name in there for package in needed)

    # What differs

    def _differs(self, path: str, text: str | None) -> bool:
        there: str | None = self.info["files"].get(path)
        return there != (None if text is None else hashlib.sha256(text.encode()).hexdigest())

    def _keys(self, chosen: Selection) -> list[dict[str, Any]]:
        """Keys that are missing or others, as what to fetch."""
        return [
            {"name": item.name, "url": item.key_url, "path": item.key_file, "fingerprint": item.key_fingerprint}
            for item in chosen.repositories
            if item.key_fingerprint and self.info["key_files"].get(item.key_file) != [plain(item.key_fingerprint)]
        ]

    def _words(self, chosen: Selection, versions: dict[str, str | None]) -> list[str]:
        """What apt is told to install: all that is not there in its version."""
        there = self.info["packages"]
        return [
            f"{package.name}={versions[package.name]}" if versions.get(package.name) else package.name
            for package in [*chosen.first, *chosen.headers, *chosen.packages]
            if there.get(package.name) != versions.get(package.name)
        ]

    def _downloads(self, chosen: Selection) -> list[dict[str, Any]]:
        """Packages of no repository that are not there in their version; their names begin their files' names."""
        found = []
        for item in chosen.downloads:
            name = re.split("[_-][0-9]", item["url"].rsplit("/", 1)[-1])[0]
            if not self.info["packages"].get(name, "").startswith(item["version"]):
                found.append(item)
        return found

    def _removals(self, chosen: Selection) -> list[str]:
        there = self.info["packages"]
        pinning = {package.name for package in chosen.first}
        others = [name for name in there if name.startswith("nvidia-driver-pinning-") and name not in pinning]
        return sorted({*(name for name in chosen.remove if name in there), *(others if pinning else [])})

    def _builds(self, chosen: Selection) -> list[str]:
        """Kernels that have no module of this version and flavour."""
        if not self.host or chosen.module not in ("dkms", "precompiled"):
            return []
        found = []
        for release in self.given.get("kernel_releases") or []:
            module = self.info["modules"].get(release) or {}
            if chosen.vendor == "amd":
                # AMD's version is ROCm's; what matters is that the module is not the kernel's own.
                right = "amdgpu" in module.get("names", [])
            else:
                right = module.get("version") == chosen.version and module.get("flavour") == chosen.flavour
            if not right:
                found.append(release)
        return found

    # Why not

    def _refuse_on_host(self, chosen: Selection, words: list[str]) -> None:
        """Collect what on the host stands against the change."""
        if chosen.family == "redhat" or self.info["manager"] != "apt":
            self.refused.append(
                "The driver is installed by apt only: on this system, the role can choose and cannot install. "
                "Set gpu_driver_source to none, and install what the filter gpu_driver_packages says."
            )
        if self.info["run_file"]:
            self.refused.append(
                "A driver was installed by NVIDIA's .run file, which packages cannot replace. "
                f"Run {self.info['run_file']} --silent on the host{' (or nvidia-uninstall)' if 'installer' in self.info['run_file'] else ''}, "
                "reboot it, and run this again."
            )
        for item in chosen.repositories:
            if not item.key_fingerprint:
                self.refused.append(
                    f"The fingerprint of the key of {item.name} is not known. "
                    f"Set gpu_driver_keys: {{{item.name}: {{url: ..., fingerprint: ...}}}} to what its owner says."
                )
        for entry in self._foreign(chosen):
            if not self.own["remove_foreign_sources"]:
                self.refused.append(
                    f"{entry['file']} on the host names {' and '.join(entry['uris'])}, too; with two entries for one repository, apt "
                    "stops. Remove it, or set gpu_driver_remove_foreign_sources to true."
                )
        if any(item["sha256"] is None for item in chosen.downloads):
            self.refused.append(
                "The part mig_parted is wanted. Set gpu_driver_mig_parted_sha256 to the checksum of its file."
            )
        self._refuse_held(words)
        arriving = dict(word.split("=", 1) for word in words if "=" in word)
        self.refused += host_builds.refused(arriving, self.given.get("kernel_releases") or [])
        users = [process for process in self.info["processes"] if not process["daemon"]]
        if users and self._exchanges(chosen, words) and not self.own["drains"]:
            told = ", ".join(f"{process['command']} ({process['pid']})" for process in users[:5])
            self.refused.append(
                f"The GPUs are in use by {told}. End these, or name in gpu_driver_drain what takes the host out of service."
            )

    def _refuse_exchange(self, chosen: Selection) -> None:
        there = self.installed
        if self.own["upgrade"] or not there.version or chosen.vendor != "nvidia":
            return
        way = "Set gpu_driver_upgrade to true to exchange it, host by host with the playbook upgrade."
        version = self.given.get("version")
        if version and version != there.version:
            self.refused.append(f"The host has the driver {there.version}, and version {version} is asked for. {way}")
        elif there.branch != str(chosen.branch):
            self.refused.append(
                f"The host has the driver {there.version}, and branch {chosen.branch} is asked for. {way}"
            )
        if self.host and there.flavour and there.flavour != chosen.flavour:
            self.refused.append(
                f"The host has the {there.flavour} kernel modules, and the {chosen.flavour} ones are asked for. {way}"
            )

    def _refuse_held(self, words: list[str]) -> None:
        mine = set((self.info["record"] or {}).get("holds") or [])
        names = [word.partition("=")[0] for word in words]
        foreign = [name for name in names if name in self.info["held"] and name not in mine]
        if foreign:
            self.refused.append(
                f"{', '.join(foreign)}: held on the host, and not by this role. "
                f"Run apt-mark unhold {' '.join(foreign)} there if that is no longer wanted."
            )

    def _foreign(self, chosen: Selection) -> list[dict[str, Any]]:
        known = {*chosen.remove_files, *KNOWN_LEFTOVERS}
        return [entry for entry in self.info["sources"] if entry["file"] not in known] if chosen.repositories else []

    def _exchanges(self, chosen: Selection, words: list[str]) -> bool:
        """Whether a driver that is there becomes another."""
        there = self.info["packages"]
        core = [package.name for package in chosen.packages if package.same_version or package.part in CORE]
        changed = [word.partition("=")[0] for word in words]
        return any(name in there and name in changed for name in core) or (
            bool(self.installed.flavour) and any(name in there and "dkms" in name for name in chosen.remove)
        )

    # The result

    def _result(self, outcome: Result, versions: dict[str, str | None]) -> dict[str, Any]:
        chosen = outcome if isinstance(outcome, Selection) else Selection()
        if isinstance(outcome, Refusal):
            self.refused.insert(0, _sentence(outcome))
        known = bool(versions)
        texts = host_files.texts(chosen, self.info["distribution"], self.host) if chosen.vendor else {}
        record = self.info["record"] or {}
        if chosen.vendor:
            # What an earlier run wrote and this one does not want.
            texts.update({path: None for path in record.get("files") or [] if path not in texts})
        if not known:
            # Which version it is going to be is not known yet.
            texts.pop(host_files.PREFERENCES, None)
        words = self._words(chosen, versions) if known else []
        removals = self._removals(chosen) if chosen.vendor else []
        moved = [entry["file"] for entry in self.info["sources"]] if chosen.repositories else []
        holds = [name for name in chosen.hold if name not in self.info["held"]]
        files = {path: text for path, text in texts.items() if self._differs(path, text)}
        keys = self._keys(chosen)
        builds = self._builds(chosen) if known else []
        nouveau = self.host and chosen.vendor == "nvidia" and chosen.module != "none"
        initramfs = [name for name in self.info["nouveau"]["initramfs"] if nouveau]
        signing = host_signing.action(chosen, self.info, self.host)
        todo: dict[str, Any] = {
            "fetch": keys,
            "files": files,
            "moved": moved,
            "install": words,
            "remove": removals,
            "hold": holds,
            "downloads": self._downloads(chosen),
            "builds": builds,
            "initramfs": initramfs,
            "broken": [name for name in self.info["broken"] if OURS.match(name)],
        }
        reasons = [name for name, what in todo.items() if what]
        if not known:
            reasons.append("unknown")
        if signing != host_signing.GO:
            reasons.append("signing")
        if record.get("state") not in (None, "complete"):
            reasons.append("interrupted")
        return {
            **todo,
            "refused": self.refused,
            "notes": [*self.notes, *chosen.notes],
            "chosen": as_data(outcome, UNVERIFIED),
            "known": known,
            "differs": bool(chosen.vendor) and bool(reasons),
            "reasons": reasons,
            "sources": [path for path in files if path.endswith(".sources")],
            "preferences": texts.get(host_files.PREFERENCES) or "",
            "exchanges": bool(chosen.vendor) and self._exchanges(chosen, words),
            "signing": signing,
            "releases": list(self.given.get("kernel_releases") or []) if self.host else [],
            "installed": {"version": self.installed.version, "flavour": self.installed.flavour},
            "holds": chosen.hold,
            "paths": [path for path, text in texts.items() if text],
        }
