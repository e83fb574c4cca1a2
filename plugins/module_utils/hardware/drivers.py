# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded kernel modules that decide whether an accelerator or a fast network works."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

MODULES = "/sys/module"
SOURCES = {"*": MODULES}
WANTED = (
    *("amdgpu", "habanalabs", "i915", "ib_core", "mlx5_core", "nouveau"),
    *("nvidia", "nvidia_drm", "nvidia_fs", "nvidia_peermem", "nvidia_uvm", "rdma_cm", "xe"),
)


def read(tree: Tree) -> list[dict[str, Any]]:
    """The `drivers` facts: name and version; a module of the kernel itself states no version."""
    found = []
    for name in WANTED:
        if tree.exists(f"{MODULES}/{name}"):
            version = tree.text(f"{MODULES}/{name}/version")
            if version is None:
                tree.note(f"drivers[{name}].version", f"{MODULES}/{name}/version", "the module states no version")
            found.append({"name": name, "version": version})
    return found
