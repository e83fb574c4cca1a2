# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that is built before its package is installed: how files are named, and what the compiler said."""

from __future__ import annotations

import re

ARCHIVES = "/var/cache/apt/archives"
_WORD = r"^\s*{}=[\"']?([A-Za-z0-9][A-Za-z0-9.+~_-]*)[\"']?\s*(?:#.*)?$"
_ERROR = re.compile(r"\berror\b:|^ERROR: |\*\*\* .*(?:Error|Stop)|No space left|cannot find", re.IGNORECASE)
MAX_COMPLAINT = 600


def package_file(word: str) -> str:
    """The pattern of a package's file, as apt keeps it, for apt's word `name=version`."""
    name, _equals, version = word.partition("=")
    return f"{name}_{version.replace(':', '%3a') or '*'}_*.deb"


def named(conf: str) -> tuple[str, str] | None:
    """(name, version) of the module that a `dkms.conf` describes; None where it computes them."""
    found = [re.search(_WORD.format(key), conf, re.MULTILINE) for key in ("PACKAGE_NAME", "PACKAGE_VERSION")]
    if found[0] is None or found[1] is None:
        return None
    return found[0].group(1), found[1].group(1)


def archive(name: str, version: str) -> str:
    """Where a package of a DKMS module looks for a built one, to load it in place of building.

    The script that DKMS's own helper puts into packages (Debian's and Ubuntu's `dh_dkms`) calls
    `/usr/lib/dkms/common.postinst NAME VERSION /usr/share/NAME-dkms`, and that looks for this file first.
    """
    return f"/usr/share/{name}-dkms/{name}-{version}.dkms.tar.gz"


def complaint(log: str) -> str:
    """The first error in the log of a build, else how it ends; one line of at most 600 characters."""
    lines = [" ".join(line.split()) for line in log.splitlines() if line.strip()]
    first = next((line for line in lines if _ERROR.search(line)), None)
    return (first or " ".join(lines[-3:]))[:MAX_COMPLAINT]
