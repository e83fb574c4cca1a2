# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt's sources: those of the distribution with their components, and those for the vendors' repositories that others made."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import ini
from ansible_collections.mlops.onprem.plugins.module_utils.survey.sources import APT_DIRECTORY, APT_LIST

OWN = APT_DIRECTORY + "/mlops-onprem-"
_LINE = re.compile(r"deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)$")
# Where the vendors' packages are known to be got from, whatever the mirror.
VENDORS = re.compile(r"/compute/cuda/repos/|/libnvidia-container/|//repo\.radeon\.com/|//repo\.amd\.com/rocm/")


def _entry(path: str, uri: str, suite: str, components: list[str], signed_by: str) -> dict[str, Any]:
    return {"file": path, "uri": uri, "suite": suite, "components": components, "signed_by": signed_by}


def parse_list(text: str | None, path: str) -> list[dict[str, Any]]:
    """The `deb` lines of sources.list(5)."""
    found = []
    for line in (text or "").splitlines():
        match = _LINE.match(line.split("#")[0].strip())
        if match:
            options = dict(re.findall(r"(\S+?)=(\S+)", match.group(1) or ""))
            found.append(
                _entry(path, match.group(2), match.group(3), match.group(4).split(), options.get("signed-by", ""))
            )
    return found


def parse_deb822(text: str | None, path: str) -> list[dict[str, Any]]:
    """The paragraphs of a .sources file, an entry for each address and suite."""
    found = []
    for fields in ini.paragraphs(text):
        off = fields.get("enabled", "yes").lower() in ("no", "false", "without", "off", "disable", "0")
        if off or "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = fields.get("components", "").split()
                found.append(_entry(path, uri, suite, components, fields.get("signed-by", "")))
    return found


def entries(tree: Tree) -> list[dict[str, Any]]:
    """All sources of binary packages that are on."""
    found = []
    for path in [APT_LIST, *ini.files(tree, APT_DIRECTORY, ".list")]:
        found += parse_list(tree.text(path), path)
    for path in ini.files(tree, APT_DIRECTORY, ".sources"):
        found += parse_deb822(tree.text(path), path)
    return found


def read(tree: Tree, repositories: list[str]) -> dict[str, Any]:
    """`sources`: files of others for the same repositories; `distribution`: the other entries.

    `repositories`: addresses that are wanted. Two entries for one address with different keys stop apt altogether.
    """
    wanted = {address.rstrip("/") for address in repositories}
    foreign: dict[str, list[str]] = {}
    rest = []
    for entry in entries(tree):
        if entry["file"].startswith(OWN):
            continue
        if entry["uri"].rstrip("/") in wanted or VENDORS.search(entry["uri"]):
            foreign.setdefault(entry["file"], []).append(entry["uri"])
        else:
            rest.append(entry)
    return {
        "sources": [{"file": path, "uris": uris} for path, uris in sorted(foreign.items())],
        "distribution": rest,
    }
