# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounted filesystems that hold data, with their sizes."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.mounts import MOUNTINFO, Mount
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

SOURCES = {"*": MOUNTINFO}
# Kept in memory, made by the kernel, or a read-only image: nothing can be stored there for long.
_NO_STORAGE = frozenset(
    {
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "fuse.gvfsd-fuse",
        "fuse.lxcfs",
        "fuse.portal",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nsfs",
        "nfsd",
        "proc",
        "pstore",
        "ramfs",
        "rootfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
    }
)
_REMOTE = ("nfs", "cifs", "smb", "ceph", "fuse", "glusterfs", "lustre", "gpfs", "beegfs", "9p", "afs", "wekafs")
# All remote filesystems together: a dead file server holds its callers for ever.
REMOTE_SECONDS = 3.0


def is_storage(mount: Mount) -> bool:
    """Whether data can be kept there; of the overlays only a container's root, not those of other containers."""
    return mount.type not in _NO_STORAGE and (mount.type != "overlay" or mount.mount == "/")


def sizes(path: str) -> tuple[int, int] | None:
    """(size, available to users), bytes; None when it is no directory (a file that a container engine mounts)."""
    try:
        if not stat.S_ISDIR(Path(path).stat().st_mode):
            return None
        values = os.statvfs(path)
    except OSError:
        return None
    return values.f_blocks * values.f_frsize, values.f_bavail * values.f_frsize


def remote_sizes(paths: list[str], seconds: float = REMOTE_SECONDS) -> dict[str, tuple[int, int] | None]:
    """`sizes` of each path, without those that do not answer in time."""
    found: dict[str, tuple[int, int] | None] = {}

    def ask(path: str) -> None:
        found[path] = sizes(path)

    threads = [threading.Thread(target=ask, args=(path,), daemon=True) for path in paths[:64]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds / len(threads))
    return dict(found)


def read(tree: Tree, table: list[Mount]) -> list[dict[str, Any]]:
    """The `filesystems` facts, sorted by mount. A recorded tree has no sizes: they are None."""
    seen = {mount.mount: mount for mount in table if mount.mount.startswith("/")}
    kept = [mount for _place, mount in sorted(seen.items()) if is_storage(mount)]
    remote = [mount.mount for mount in kept if mount.type.startswith(_REMOTE)]
    answers = remote_sizes(remote) if tree.live and remote else {}
    found = []
    for mount in kept:
        size = None
        if tree.live:
            is_remote = mount.type.startswith(_REMOTE)
            size = answers.get(mount.mount) if is_remote else sizes(mount.mount)
            if size is None and not is_remote:
                continue
        found.append(
            {
                "mount": mount.mount,
                "device": mount.device,
                "type": mount.type,
                "size_bytes": size[0] if size else None,
                "available_bytes": size[1] if size else None,
            }
        )
        if size is None:
            reason = "the file server does not answer" if tree.live else "a recorded tree holds no sizes"
            for name in ("size_bytes", "available_bytes"):
                tree.note(f"filesystems[{mount.mount}].{name}", mount.mount, reason)
    return found
