# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of servers in configuration files: where they lead, and how they may be shown.

A URL may carry a password, so no URL leaves the survey other than through `masked`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

MASK = "***"
LONGEST = 300
PORTS = {"http": 80, "https": 443, "ftp": 21, "socks": 1080, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}):/{2}")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9._])?")
# Some sellers give each customer a path of its own, which is as good as a password.
_TOKEN = re.compile(
    r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


class Address(NamedTuple):
    """Where a URL leads: scheme in small letters (of `mirror+http` the last part), host, port (1 to 65535)."""

    scheme: str
    host: str
    port: int


def masked(url: str) -> str:
    """The URL as it may be shown: without user, password, query, fragment and parts of the path that look like a token.

    Rather too much than too little is left out: all before the last `@` is taken for a password. One line, at most
    LONGEST characters.
    """
    text = "".join(letter if letter.isprintable() else "?" for letter in url.strip())
    match = _SCHEME.match(text)
    scheme, rest = (match.group(0), text[match.end() :]) if match else ("", text)
    user, at, rest = rest.rpartition("@")
    path, query = re.match(r"([^?#]*)(.*)", rest).groups()  # type: ignore[union-attr]
    parts = [MASK if _TOKEN.fullmatch(part) else part for part in path.split("/")]
    shown = scheme + (MASK + at if at else "") + "/".join(parts) + (query[0] + MASK if query else "")
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."


def _host(text: str) -> str | None:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1])) if text.endswith("]") else None
        except ValueError:
            return None
    return text if _NAME.fullmatch(text) else None


def address(url: str, scheme: str = "") -> Address | None:
    """Where the URL leads; None for one that names no server (`file:/srv`, `cdrom:`), or not clearly.

    `scheme` is taken where the URL has none, as proxies are often written (`proxy.example:3128`).
    """
    text = url.strip()
    match = _SCHEME.match(text)
    if match:
        scheme, text = match.group(1), text[match.end() :]
    scheme = scheme.lower().rpartition("+")[2]
    if scheme == "mirror":
        scheme = "http"
    if scheme not in PORTS:
        return None
    authority, rest = re.match(r"([^/?#]*)(.*)", text, re.S).groups()  # type: ignore[union-attr]
    if "@" in rest and "@" not in authority:
        # A password with a slash, most likely; what looks like the host is the user then.
        return None
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5})?)?", authority.rpartition("@")[2])
    host = _host(match.group(1)) if match else None
    if not match or host is None:
        return None
    port = int(match.group(2)) if match.group(2) else PORTS[scheme]
    return Address(scheme, host, port) if 0 < port < 65536 else None
