# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a selection is made of. All of it becomes plain data: lists, dictionaries, strings, numbers, None."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Union

# Parts that are one driver: their candidates have to be of one version before anything is installed.
CORE = ("kernel_module", "driver", "utilities")


@dataclass(frozen=True)
class Refusal:
    """Why there is no selection, and how to mend it."""

    reason: str
    remedy: str


@dataclass(frozen=True)
class Package:
    """A package of the system's package manager."""

    name: str
    # What it is for: a key of `packages_override`.
    part: str
    # Whether its version must be the driver's.
    same_version: bool = False
    # Whether to go on without it where the source does not have it.
    required: bool = True
    # A version of its own that it is held at.
    version: str | None = None
    # A key of UNVERIFIED; None for a name that was seen in the vendor's documents or the distribution's index.
    unverified: str | None = None


@dataclass(frozen=True)
class Repository:
    """A package repository with its key. `suites` and `components` are of the deb kind only."""

    name: str
    kind: str
    url: str
    key_url: str
    # Where the key is kept on the host.
    key_file: str
    # Forty hexadecimal digits; None where it is not known and has to be given.
    key_fingerprint: str | None
    suites: list[str] = field(default_factory=list)
    components: list[str] = field(default_factory=list)
    architectures: list[str] = field(default_factory=list)
    unverified: str | None = None


@dataclass
class Selection:
    """What to install, and what has to be seen to before and after. Empty with a reason in `nothing`."""

    nothing: str | None = None
    vendor: str | None = None
    family: str | None = None
    source: str | None = None
    branch: int | None = None
    version: str | None = None
    flavour: str | None = None
    profile: str | None = None
    # dkms, precompiled, or none where the kernel's own module or the host's is used.
    module: str | None = None
    # Who signs the kernel module: distribution, vendor, host (DKMS with the host's own key), kernel.
    signed_by: str | None = None
    cuda_major: int | None = None
    generations: list[str] = field(default_factory=list)
    repositories: list[Repository] = field(default_factory=list)
    # Of the distribution's own sources: components to switch on (deb), repositories to switch on (dnf).
    components: list[str] = field(default_factory=list)
    distribution_repositories: list[str] = field(default_factory=list)
    # Packages that have to be installed before the others, in a transaction of their own.
    first: list[Package] = field(default_factory=list)
    packages: list[Package] = field(default_factory=list)
    headers: list[Package] = field(default_factory=list)
    # dnf: module and stream; patterns for versionlock.
    module_stream: dict[str, str] | None = None
    version_locks: list[str] = field(default_factory=list)
    # apt preferences: package, pin, priority.
    preferences: list[dict[str, Any]] = field(default_factory=list)
    hold: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    remove_files: list[str] = field(default_factory=list)
    downloads: list[dict[str, Any]] = field(default_factory=list)
    load_modules: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


Result = Union[Selection, Refusal]


def spec(package: Package, driver_version: str | None, family: str) -> str:
    """The word for the package manager: the name, with the version where one has to be met.

    The core of the driver is held by pinning packages, module streams or version locks: a version on a metapackage
    does not pin what it depends on.
    """
    wanted = package.version or (driver_version if package.same_version and package.part not in CORE else None)
    if wanted is None:
        return package.name
    return f"{package.name}-{wanted}" if family == "redhat" else f"{package.name}={wanted}*"


def _package(package: Package, driver_version: str | None, family: str) -> dict[str, Any]:
    record = dataclasses.asdict(package)
    return {**record, "spec": spec(package, driver_version, family), "verified": package.unverified is None}


def as_data(result: Result, sentences: dict[str, str]) -> dict[str, Any]:
    """Return plain data with the same keys in all cases; `refused` is None or reason and remedy."""
    chosen = result if isinstance(result, Selection) else Selection()
    data = dataclasses.asdict(chosen)
    family = chosen.family or ""
    for name in ("first", "packages", "headers"):
        data[name] = [_package(package, chosen.version, family) for package in getattr(chosen, name)]
    for record in data["repositories"]:
        record["verified"] = record["unverified"] is None
    data["install_first"] = [record["spec"] for record in data["first"]]
    data["install"] = [record["spec"] for record in [*data["headers"], *data["packages"]]]
    # The packages recommend the other kind of kernel module.
    data["install_recommends"] = False
    data["unverified"] = [{"fact": key, "sentence": sentences[key]} for key in chosen.unverified]
    data["refused"] = dataclasses.asdict(result) if isinstance(result, Refusal) else None
    return data


@dataclass(frozen=True)
class Want:
    """What the table of a family is asked for: all questions of `auto` are answered."""

    source: str
    branch: int
    flavour: str
    profile: str
    module: str
    releases: tuple[str, ...] = ()
    version: str | None = None

    @property
    def open(self) -> bool:
        return self.flavour == "open"
