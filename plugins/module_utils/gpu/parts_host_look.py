# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has of the parts: container runtimes and their files, groups, what waits for a restart. Changes nothing."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.gpu.host_programs import ask

# A file restart-<name> lies here from before a file is written until its reader has read it: a killed run leaves it.
STATE = "/var/lib/mlops-onprem/gpu"
DAEMON_JSON = "/etc/docker/daemon.json"
CONTAINERD = "/etc/containerd/config.toml"
CONTAINERD_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"
IMEX_NODES = "/etc/nvidia-imex/nodes_config.cfg"
ROCM_LIBRARIES = "/etc/ld.so.conf.d/mlops-onprem-rocm.conf"
UDEV = "/etc/udev/rules.d/71-mlops-onprem-gpu.rules"
CDI_DROP_IN = "/etc/systemd/system/nvidia-cdi-refresh.service.d/mlops-onprem.conf"
_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin")
_VERSION = re.compile(r"(?:version |containerd \S{1,200} )v?([0-9][0-9a-zA-Z.+~-]{0,40})")
_DEVICE = re.compile(r"nvidia(?:[0-9]{1,4}|ctl|-uvm|-uvm-tools)")
_MAX_BYTES = 1 << 20
_SECONDS = 20


def under(root: str, path: str) -> Path:
    return Path(root) / path.lstrip("/")


def text_of(root: str, path: str) -> tuple[str | None, str | None]:
    """The content of a small file, and why there is none: (None, None) where the file is not there."""
    place = under(root, path)
    try:
        with place.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"
    if len(data) > _MAX_BYTES:
        return None, f"{path} is larger than 1 MiB"
    try:
        return data.decode(), None
    except UnicodeDecodeError:
        return None, f"{path} is not text in UTF-8"


def version_in(answer: str) -> str | None:
    """The version in what `dockerd --version`, `podman --version` or `containerd --version` print; None for none."""
    match = _VERSION.search(answer)
    return match.group(1).rstrip(",") if match else None


def program(root: str, name: str) -> str | None:
    """The path of an installed program as the host sees it; None where it is not installed."""
    for folder in _FOLDERS:
        if os.access(under(root, f"{folder}/{name}"), os.X_OK):
            return f"{folder}/{name}"
    return None


def _version(root: str, name: str) -> dict[str, Any]:
    """`installed`, and `version`: None where it is not installed or does not say."""
    path = program(root, name)
    # A program is asked on a running host only, never one of a recorded tree.
    live = path is not None and os.path.realpath(root) == "/"
    # A warning beside the version may hold another one.
    said = ask([path or "", "--version"], _SECONDS, errors=False).output if live else ""
    return {"installed": path is not None, "version": version_in(said)}


def docker(root: str) -> dict[str, Any]:
    config, error = text_of(root, DAEMON_JSON)
    found = {**_version(root, "dockerd"), "config": config, "error": error, "mode": "0644", "owner": 0, "group": 0}
    if config is not None:
        state = under(root, DAEMON_JSON).stat()
        found.update(mode=f"{stat.S_IMODE(state.st_mode):04o}", owner=state.st_uid, group=state.st_gid)
    return found


def containerd(root: str) -> dict[str, Any]:
    """`cri`: whether it serves Kubernetes; `configured`: whether NVIDIA's runtime is in the file that it imports."""
    config = text_of(root, CONTAINERD)[0] or ""
    drop_in = text_of(root, CONTAINERD_DROP_IN)[0] or ""
    disabled = re.search(r"^\s*disabled_plugins\s*=\s*\[([^\]]*)\]", config, re.MULTILINE)
    imports = re.search(r"^\s*imports\s*=\s*\[([^\]]*)\]", config, re.MULTILINE)
    imported = imports is not None and "/etc/containerd/conf.d/" in imports.group(1)
    return {
        **_version(root, "containerd"),
        "cri": not (disabled and re.search(r"""["'](?:io\.containerd\.grpc\.v1\.)?cri["']""", disabled.group(1))),
        "configured": imported and "nvidia-container-runtime" in drop_in and "enable_cdi = true" in drop_in,
        # The drop-in is made from this file, so that it has to be made again when the file is another one.
        "sha256": hashlib.sha256(config.encode()).hexdigest(),
        "configured_for": (text_of(root, f"{STATE}/containerd.sha256")[0] or "").strip() or None,
        "kubelet": program(root, "kubelet") is not None,
    }


def groups(names: Iterable[str]) -> dict[str, list[str] | None]:
    """The members of groups by name; None for a group that is not there."""
    found: dict[str, list[str] | None] = {}
    for name in names:
        try:
            entry = grp.getgrnam(name)
        except KeyError:
            found[name] = None
            continue
        first = [user.pw_name for user in pwd.getpwall() if user.pw_gid == entry.gr_gid]
        found[name] = sorted({*entry.gr_mem, *first})
    return found


def missing_users(names: Iterable[str]) -> list[str]:
    """Of these users, those that the host does not know."""
    found = []
    for name in names:
        try:
            pwd.getpwnam(name)
        except KeyError:
            found.append(name)
    return found


def unlinked(root: str) -> bool:
    """Whether a GPU's device lacks its link in /dev/char, by which systemd knows it when it reads its units again."""
    for path in under(root, "/dev").glob("nvidia*"):
        state = path.lstat()
        if _DEVICE.fullmatch(path.name) and stat.S_ISCHR(state.st_mode):
            number = f"{os.major(state.st_rdev)}:{os.minor(state.st_rdev)}"
            if not under(root, f"/dev/char/{number}").exists():
                return True
    return False


def configured(root: str) -> list[str]:
    """Units that have a drop-in of this role, and those of CDI where its rule for devices is there."""
    drop_ins = under(root, "/etc/systemd/system").glob("nvidia-*.service.d/*mlops-onprem.conf")
    found = {path.parent.name[: -len(".d")] for path in drop_ins}
    if under(root, UDEV).exists():
        found |= {"nvidia-cdi-refresh.service", "nvidia-cdi-refresh.path"}
    return sorted(found)


def look(root: str = "/", users: Sequence[str] = ()) -> dict[str, Any]:
    """All of it, as plain data. `users`: names of users that have to be known to the host."""
    return {
        "docker": docker(root),
        "podman": _version(root, "podman"),
        "containerd": containerd(root),
        "mig_parted": program(root, "nvidia-mig-parted") is not None,
        # Files whose readers do not look again by themselves.
        "texts": {path: text_of(root, path)[0] for path in (IMEX_NODES, CDI_DROP_IN, ROCM_LIBRARIES)},
        "configured": configured(root),
        "groups": groups(("render", "video")),
        "missing_users": missing_users(users),
        "unlinked": unlinked(root),
        "pending": sorted(path.name[len("restart-") :] for path in under(root, STATE).glob("restart-*")),
    }
