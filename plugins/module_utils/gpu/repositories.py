# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories of the vendors: address, suite and key. All addresses hang below the bases of the options.

Keys of NVIDIA's CUDA repository: Debian 13 has one of its own, because its apt refuses the older one's SHA-1 binding
since 2026-02-01. A source must never point a Debian 13 at another release's folder.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.options import BASES
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.records import Repository
from ansible_collections.mlops.onprem.plugins.module_utils.gpu.systems import System

CUDA_KEY = ("3bf863cc.pub", "EB693B3035CD5710E231E123A4B469963BF863CC")
CUDA_KEY_DEBIAN_13 = ("8793F200.pub", "02182E60104FCDC26EAE1B8597A5D4CB8793F200")
CUDA_KEY_REDHAT = ("D42D0685.pub", "610C7B14E068A878070DA4E99CD0A493D42D0685")
TOOLKIT_KEY = ("gpgkey", "C95B321B61E88C1809C4F759DDCAE044F796ECB0")


def base_url(name: str, options: dict[str, Any]) -> str:
    """The address below which a vendor's files are: the one that is given, else below the mirror, else the vendor's."""
    if options["base_urls"].get(name):
        return str(options["base_urls"][name]).rstrip("/")
    if options["mirror_url"]:
        return f"{options['mirror_url'].rstrip('/')}/{name.replace('_', '-')}"
    return BASES[name]


def key_place(system: System, name: str) -> str:
    """Where a repository's key is kept."""
    if system.family == "redhat":
        return f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"
    return f"/etc/apt/keyrings/{name}.asc"


def with_key(repository: Repository, options: dict[str, Any]) -> Repository:
    """The repository with the key that a person named for it: `url`, `fingerprint`."""
    given = options["keys"].get(repository.name) or {}
    if not given:
        return repository
    record = {**vars(repository), "key_url": given.get("url") or repository.key_url}
    record["key_fingerprint"] = given.get("fingerprint") or repository.key_fingerprint
    return Repository(**record)


def cuda(system: System, options: dict[str, Any]) -> Repository:
    """NVIDIA's CUDA repository, which has the drivers: flat, a folder for each distribution and architecture."""
    url = f"{base_url('cuda', options)}/{system.cuda_name}/{system.cuda_architecture}"
    place = key_place(system, "nvidia-cuda")
    if system.family == "redhat":
        unverified = "el10" if system.major >= 10 else "el-key"
        key, fingerprint = CUDA_KEY_REDHAT
        return Repository("nvidia-cuda", "yum", url, f"{url}/{key}", place, fingerprint, unverified=unverified)
    new = system.identity == "debian" and system.major >= 13
    key, fingerprint = CUDA_KEY_DEBIAN_13 if new else CUDA_KEY
    return Repository(
        "nvidia-cuda",
        "deb",
        f"{url}/",
        f"{url}/{key}",
        place,
        fingerprint,
        suites=["/"],
        architectures=[system.architecture],
        unverified="debian13-arm" if new and system.architecture == "arm64" else None,
    )


def container_toolkit(system: System, options: dict[str, Any]) -> Repository:
    """NVIDIA's repository of the container toolkit, the same for all releases of a kind of package."""
    base, place = base_url("container_toolkit", options), key_place(system, "nvidia-container-toolkit")
    key, fingerprint = TOOLKIT_KEY
    deb = system.family != "redhat"
    return Repository(
        "nvidia-container-toolkit",
        "deb" if deb else "yum",
        f"{base}/stable/deb/{system.architecture}/" if deb else f"{base}/stable/rpm/{system.machine}",
        f"{base}/{key}",
        place,
        fingerprint,
        suites=["/"] if deb else [],
        architectures=[system.architecture] if deb else [],
        unverified="toolkit-key",
    )
