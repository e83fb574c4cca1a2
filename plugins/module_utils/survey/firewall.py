# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters traffic and access on the host. Rules themselves are known to the kernel and root only, and not read."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import running

SELINUX = "/sys/fs/selinux/enforce"
APPARMOR = "/sys/module/apparmor/parameters/enabled"
UFW_CONF = "/etc/ufw/ufw.conf"


class Tool(NamedTuple):
    """How a firewall is recognised: program, units that load it at boot, files with its rules."""

    name: str
    program: str
    units: tuple[str, ...]
    configs: tuple[str, ...]


TOOLS = (
    Tool("nftables", "nft", ("nftables.service",), ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")),
    Tool(
        "iptables",
        "iptables",
        ("iptables.service", "ip6tables.service", "netfilter-persistent.service"),
        ("/etc/iptables/rules.v4", "/etc/sysconfig/iptables"),
    ),
    Tool("firewalld", "firewalld", ("firewalld.service",), ("/etc/firewalld/firewalld.conf",)),
    Tool("ufw", "ufw", (), (UFW_CONF,)),
)


def read_selinux(tree: Tree) -> str | None:
    """`enforcing`, `permissive` or `disabled`; None where it cannot be told."""
    value = tree.text(SELINUX, 16)
    if value in ("0", "1"):
        return "enforcing" if value == "1" else "permissive"
    if value is None and tree.reason(SELINUX) == "not there" and tree.exists("/sys"):
        return "disabled"
    tree.note("firewall.selinux", SELINUX, tree.reason(SELINUX) if value is None else "neither 0 nor 1")
    return None


def read_apparmor(tree: Tree) -> bool | None:
    """Whether AppArmor is on; None where it cannot be told."""
    value = tree.text(APPARMOR, 16)
    if value is not None:
        return value == "Y"
    if tree.reason(APPARMOR) == "not there" and tree.exists("/sys"):
        return False
    tree.note("firewall.apparmor", APPARMOR, tree.reason(APPARMOR))
    return None


def read(tree: Tree) -> dict[str, Any]:
    """The `firewall` facts; a tool that is not installed and has no file is left out."""
    tools = []
    for tool in TOOLS:
        program = running.binary(tree, tool.program)
        config = next((path for path in tool.configs if tree.exists(path)), "")
        at_boot = running.enabled(tree, *tool.units)
        if tool.name == "ufw":
            at_boot = re.search(r"(?m)^\s*ENABLED\s*=\s*[\"']?yes", tree.text(UFW_CONF) or "") is not None
        if program or config or at_boot:
            tools.append({"name": tool.name, "binary": program, "config": config, "at_boot": at_boot})
    return {"tools": tools, "selinux": read_selinux(tree), "apparmor": read_apparmor(tree)}
