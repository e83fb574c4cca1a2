# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the host finds names: its resolver, its own name, and the names that the platform will use."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey.reach import OPEN, Probe

RESOLV_CONF = "/etc/resolv.conf"
# systemd-resolved's list of the real name servers, behind its own at 127.0.0.53.
UPSTREAMS = "/run/systemd/resolve/resolv.conf"
HOSTS = "/etc/hosts"
HOSTNAME = "/etc/hostname"


def parse_resolv_conf(text: str | None) -> tuple[list[str], list[str]]:
    """(name servers, search domains) by resolv.conf(5); the last `search` or `domain` line counts."""
    servers: list[str] = []
    search: list[str] = []
    for line in (text or "").splitlines():
        fields = re.sub("[#;].*", "", line).split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            servers.append(fields[1][:100])
        elif len(fields) >= 2 and fields[0] in ("search", "domain"):
            search = [field[:253] for field in fields[1:33]]
    return servers[:32], search


def parse_hosts(text: str | None) -> dict[str, list[str]]:
    """Addresses by name, as hosts(5) gives them."""
    found: dict[str, list[str]] = {}
    for line in (text or "").splitlines():
        fields = line.partition("#")[0].split()
        for name in fields[1:]:
            found.setdefault(name.lower(), []).append(fields[0])
    return found


def loopback(address: str) -> bool:
    """Whether an address is the host's own only, as Debian's 127.0.1.1."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def own_name(tree: Tree) -> str | None:
    """The host's name: the kernel's on the running machine, else what is recorded."""
    if tree.live:
        return socket.gethostname() or None
    text = tree.text("/proc/sys/kernel/hostname", 256) or tree.text(HOSTNAME, 256)
    return text.split()[0] if text else None


def full_name(tree: Tree, name: str) -> str | None:
    """The name with its domain, from the line of /etc/hosts that has it; None where no line tells one."""
    if "." in name:
        return name
    for line in (tree.text(HOSTS) or "").splitlines():
        names = line.partition("#")[0].split()[1:]
        if name in names:
            return next((other for other in names if other.startswith(name + ".")), None)
    return None


def read(tree: Tree, own: Probe | None, probes: dict[str, Probe | None], reason: str) -> dict[str, Any]:
    """The `dns` facts. `own`, `probes`: finished lookups of the host's name and of the names that were asked for.

    `reason`: why there are none, where there are none.
    """
    servers, search = parse_resolv_conf(tree.text(RESOLV_CONF))
    upstreams = parse_resolv_conf(tree.text(UPSTREAMS))[0]
    name = own_name(tree)
    addresses = None
    if name is None:
        tree.note("dns.hostname", HOSTNAME, tree.reason(HOSTNAME))
    if own is not None:
        addresses = own.result.addresses if own.result.answer == OPEN else []
    elif name is not None:
        # Without a lookup only /etc/hosts is known; a name that it does not have may be in DNS.
        addresses = parse_hosts(tree.text(HOSTS)).get(name.lower())
    fqdn = full_name(tree, name) if name else None
    if fqdn is None and own is not None and "." in own.canonical:
        fqdn = own.canonical
    if fqdn is None:
        tree.note("dns.fqdn", HOSTS, "neither it nor the lookup gives the host's name a domain")
    for fact in ("own_addresses", "own_name_loopback_only"):
        if addresses is None:
            tree.note(f"dns.{fact}", HOSTS, reason or "the host's name is not in it")
    records = []
    for wanted, probe in probes.items():
        done = probe.result if probe else None
        known = done is not None and done.answer == OPEN
        why = done.reason if done else reason
        if not known:
            tree.note(f"dns.names[{wanted}].addresses", RESOLV_CONF, why)
        records.append(
            {
                "name": wanted,
                "addresses": done.addresses if done and known else None,
                "reason": "" if known else why,
                "asked": done is not None,
            }
        )
    return {
        "nameservers": servers,
        "search": search,
        "upstreams": upstreams,
        "hostname": name,
        "fqdn": fqdn,
        "own_addresses": addresses,
        "own_name_loopback_only": None if addresses is None else bool(addresses) and all(map(loopback, addresses)),
        "names": records,
    }
