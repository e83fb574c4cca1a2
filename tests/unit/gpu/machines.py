"""What gpu_driver_info would say of a host, as small as the plan needs it."""

from __future__ import annotations

import hashlib
from typing import Any

from ansible_collections.mlops.onprem.plugins.filter.gpu_driver_plan import driver_plan

from .hosts import SYSTEMS, facts

KERNEL = SYSTEMS["debian12"][2]
FIRST, LATER, OTHER = "580.126.20-1", "580.178.04-1", "595.58.03-1"
DRIVER = ("nvidia-kernel-open-dkms", "nvidia-kernel-dkms", "nvidia-driver-cuda", "nvidia-persistenced")
TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
DEBIAN = {
    "file": "/etc/apt/sources.list",
    "uri": "http://deb.example.com/debian",
    "suite": "bookworm",
    "components": ["main"],
    "signed_by": "",
}


def versions(*driver: str) -> dict[str, list[str]]:
    """What the vendor's repository and Debian have, with these versions of the driver."""
    found = {name: list(driver) for name in DRIVER}
    found["nvidia-fabricmanager"] = found["libnvidia-nscq"] = list(driver)
    for version in driver:
        found[f"nvidia-driver-pinning-{version.split('.')[0]}"] = [f"{version.split('.')[0]}-1"]
        found[f"nvidia-driver-pinning-{version[:-2]}"] = [version]
    found |= {name: ["1.20.0-1"] for name in TOOLKIT}
    plain = {
        "datacenter-gpu-manager-4-cuda13": ["1:4.6.0-1"],
        "libnuma1": ["2.0.16-1"],
        f"linux-headers-{KERNEL}": ["6.1.153-1"],
    }
    return {**found, **plain}


def seen(host: dict[str, Any], options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A host that has apt and nothing else, and what `more` says. Files and keys are those that are wanted."""
    asked = driver_plan(host, options)
    known = versions(FIRST, LATER, OTHER)
    info: dict[str, Any] = {
        "container": False,
        "kernel": {"running": KERNEL, "installed": [KERNEL], "headers": [], "next": KERNEL},
        "modules": {},
        "loaded": None,
        "nouveau": {"loaded": False, "blacklisted": False, "files": [], "initramfs": []},
        "secure_boot": {"enabled": False, "key_path": None, "key_enrolled": None, "key_pending": None},
        "free_bytes": {"/usr": 10**11, "/var": 10**11},
        "processes": [],
        "dkms": [],
        "units": {},
        "files": dict.fromkeys(asked["files"]),
        "key_files": dict.fromkeys(asked["key_files"]),
        "record": None,
        "manager": "apt",
        "packages": {},
        "candidates": {name: found[0] for name, found in known.items()},
        "versions": known,
        "held": [],
        "broken": [],
        "run_file": None,
        "sources": [],
        "distribution": [DEBIAN],
    }
    return {**info, **more}


def with_sources(host: dict[str, Any], options: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """The same host once the repositories, their keys and all files are there."""
    first = driver_plan(host, options, info)
    keys = {item["path"]: [item["fingerprint"]] for item in first["fetch"]}
    info = {**info, "key_files": {**info["key_files"], **keys}}
    for _round in range(2):
        texts = driver_plan(host, options, info)["files"]
        sums = {path: text and hashlib.sha256(text.encode()).hexdigest() for path, text in texts.items()}
        info = {**info, "files": {**info["files"], **sums}}
    return info


def installed(
    host: dict[str, Any], options: dict[str, Any], version: str = FIRST, flavour: str = "open", **more: Any
) -> dict[str, Any]:
    """A host on which the role has installed this version."""
    exact = {**options, "version": version[:-2], "flavour": flavour}
    info = with_sources(host, exact, seen(host, exact))
    plan = driver_plan(host, exact, info)
    packages = dict(word.split("=") for word in plan["install"])
    # Who asks for a branch gets the pinning package of the branch.
    packages = {name: version for name, version in packages.items() if "pinning" not in name}
    branch = version.split(".")[0]
    packages[f"nvidia-driver-pinning-{branch}"] = f"{branch}-1"
    module = {"version": version[:-2], "flavour": flavour}
    held = plan["holds"]
    there = {
        "packages": packages,
        "held": held,
        "modules": {KERNEL: module},
        "record": {"state": "complete", "holds": held},
    }
    return with_sources(host, options, {**info, **there, **more})


def hopper(*more: str, **values: Any) -> dict[str, Any]:
    return facts("debian12", "Hopper", *more, **values)
