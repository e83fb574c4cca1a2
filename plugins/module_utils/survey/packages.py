# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed packages that matter to the platform, and those that would stop the package manager.

dpkg's database is read as a file. That of rpm needs rpm itself: `rpm -qa` with a time limit, the one program that is run.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import MIB, Tree

DPKG_STATUS = "/var/lib/dpkg/status"
RPM_DATABASES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")
RPM_PROGRAMS = ("/usr/bin/rpm", "/bin/rpm")
RPM_FORMAT = r"%{NAME}\t%{VERSION}-%{RELEASE}\n"
VERSION_LOCK = "/etc/dnf/plugins/versionlock.list"
RPM_SECONDS = 30
DATABASE_LIMIT_BYTES = 64 * MIB
MAX_NAMES = 500
# By the beginning of the name: drivers and libraries of GPUs, container engines, services that the roles set up or meet.
MATTERS = re.compile(
    r"(lib)?nvidia|xserver-xorg-video-nvidia|xorg-x11-drv-nvidia|(lib)?cuda|(lib)?cudnn|(lib)?nccl|kmod-nvidia|datacenter-gpu"
    r"|rocm|amdgpu|(lib)?hip(-|$)|docker|moby-|containerd|podman|cri-o|crio|kubelet|k3s|rke2|slurm|dkms$"
    r"|mlflow|postgresql(-server|-[0-9.]+|[0-9]+-server)?$|mariadb-server|mysql-server|redis|valkey|nginx|apache2$|httpd$|haproxy|traefik"
    r"|prometheus|grafana|alertmanager|loki|gitlab|forgejo|gitea|buildbot|jenkins|minio|ceph|seaweedfs"
    r"|nfs-|chrony|ntp|openntpd|linuxptp|systemd-timesyncd|unattended-upgrades|dnf-automatic|firewalld|nftables|iptables$|ufw$"
)
# What only NVIDIA's own installer leaves; no package owns these.
INSTALLER_TRACES = ("/usr/bin/nvidia-uninstall", "/usr/bin/nvidia-installer", "/var/log/nvidia-installer.log")


class Package(NamedTuple):
    """One package: name, version, whether its version is held, and its state (`installed`, or what went wrong)."""

    name: str
    version: str
    held: bool
    state: str


def parse_dpkg(data: bytes) -> Iterator[Package]:
    """The packages of dpkg's status file that are on the disk, whole or in part.

    The state is dpkg's own word (`half-configured`, `unpacked`, ...), `reinstreq` where it asks for a new installation.
    """
    for part in data.split(b"\n\n"):
        fields = dict(re.findall(rb"^(Package|Status|Version):[ \t]*([^\n]*)$", part, re.MULTILINE))
        status = fields.get(b"Status", b"").decode("utf-8", "replace").split()
        name = fields.get(b"Package", b"").decode("utf-8", "replace").strip()
        if not name or len(status) != 3 or status[2] in ("not-installed", "config-files"):
            continue
        state = status[2] if status[1] == "ok" else status[1]
        yield Package(name, fields.get(b"Version", b"").decode("utf-8", "replace").strip(), status[0] == "hold", state)


def parse_rpm(text: str, locked: str | None) -> Iterator[Package]:
    """The lines of `rpm -qa` in RPM_FORMAT. `locked`: dnf's versionlock.list, in which a name ends before its version."""
    locks = [line.strip().split(":")[-1] for line in (locked or "").splitlines() if not line.startswith(("#", "!"))]
    held = {re.sub(r"-[^-]*-[^-]*$", "", lock) for lock in locks if lock}
    for line in text.splitlines():
        name, tab, version = line.partition("\t")
        if tab and name:
            yield Package(name, version, name in held, "installed")


def ask_rpm(tree: Tree) -> str | None:
    """What rpm says, on the running machine only; None with a note where it does not."""
    program = next((path for path in RPM_PROGRAMS if tree.exists(path)), None)
    if not tree.live or program is None:
        tree.note("packages.versions", RPM_DATABASES[0], "its form is known to rpm only, which is not run here")
        return None
    try:
        done = subprocess.run(
            [program, "-qa", "--queryformat", RPM_FORMAT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=RPM_SECONDS,
            check=True,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        tree.note("packages.versions", program, f"rpm -qa failed: {type(error).__name__}")
        return None
    return done.stdout[:DATABASE_LIMIT_BYTES].decode("utf-8", "replace")


def _all(tree: Tree) -> tuple[str | None, list[Package] | None]:
    data = tree.data(DPKG_STATUS, DATABASE_LIMIT_BYTES)
    if data is not None:
        return "dpkg", list(parse_dpkg(data))
    if any(tree.exists(path) for path in RPM_DATABASES):
        text = ask_rpm(tree)
        return "rpm", None if text is None else list(parse_rpm(text, tree.text(VERSION_LOCK)))
    tree.note("packages.manager", DPKG_STATUS, tree.reason(DPKG_STATUS))
    tree.note("packages.versions", DPKG_STATUS, tree.reason(DPKG_STATUS))
    return None, None


def read(tree: Tree) -> dict[str, Any]:
    """The `packages` facts."""
    manager, found = _all(tree)
    if found is None:
        path, reason = tree.notes["packages.versions"]
        for fact in ("held", "broken"):
            tree.note(f"packages.{fact}", path, reason)
    packages = sorted(found or [])
    known = found is not None
    versions = {package.name: package.version for package in packages if MATTERS.match(package.name)}
    broken = [
        {"name": package.name, "state": package.state}
        for package in packages
        # Triggers are caught up by the next run of dpkg, by themselves.
        if package.state not in ("installed", "triggers-awaited", "triggers-pending")
    ]
    return {
        "manager": manager,
        "versions": versions if known else None,
        "held": sorted({package.name for package in packages if package.held})[:MAX_NAMES] if known else None,
        "broken": broken[:MAX_NAMES] if known else None,
        "nvidia_installer": [path for path in INSTALLER_TRACES if tree.exists(path)],
    }
