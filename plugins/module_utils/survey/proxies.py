# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy each package manager would use, and where that is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import ini
from ansible_collections.mlops.onprem.plugins.module_utils.survey.urls import address, masked

ENVIRONMENT = "/etc/environment"
DNF_FILES = ("/etc/dnf/dnf.conf", "/etc/yum.conf")
PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf")
# Programs differ in which case they read, so both are told.
VARIABLES = re.compile(r"(?:https?|ftp|all|no)_proxy", re.IGNORECASE)
# apt.conf(5): the name of the setting, of one host's too (`Acquire::http::Proxy::mirror.example`).
APT_NAME = re.compile(r"acquire::(?:http|https|ftp)::proxy(?:::.+|-auto-?detect)?")
APT_NAMES = re.compile(r"[A-Za-z0-9_.-]+")


class Setting(NamedTuple):
    """A proxy as it is configured, with its password: for use in here, never for the facts."""

    where: str
    name: str
    value: str


def apt_files(tree: Tree) -> list[str]:
    """apt's configuration files in the order in which it reads them."""
    names = [name for name in tree.names("/etc/apt/apt.conf.d") if APT_NAMES.fullmatch(name)]
    valid = [name for name in names if "." not in name or name.endswith(".conf")]
    return [f"/etc/apt/apt.conf.d/{name}" for name in valid[: ini.MAX_FILES]] + ["/etc/apt/apt.conf"]


def read_apt(tree: Tree) -> list[Setting]:
    """apt's proxies; a later setting of the same name wins."""
    found = []
    for path in apt_files(tree):
        for name, value in ini.apt_settings(tree.text(path)):
            if APT_NAME.fullmatch(name):
                found.append(Setting(path, name, value))
    return found


def read_dnf(tree: Tree) -> list[Setting]:
    """The proxy of the `main` section."""
    for path in DNF_FILES:
        value = (ini.sections(tree.text(path)) or {}).get("main", {}).get("proxy")
        if value:
            return [Setting(path, "proxy", value)]
    return []


def pip_files(tree: Tree, environment: Mapping[str, str]) -> list[str]:
    """pip's configuration files of the host, in order; what lies in a home directory is left alone."""
    own = environment.get("PIP_CONFIG_FILE", "")
    return [*PIP_FILES, *([own] if re.match(r"/(?!home/|root/)", own) and ".." not in own else [])]


def read_pip(tree: Tree, environment: Mapping[str, str]) -> list[Setting]:
    """pip's own proxy, of its files and of PIP_PROXY; the last one wins."""
    found = []
    for path in pip_files(tree, environment):
        for section in (ini.sections(tree.text(path)) or {}).values():
            if section.get("proxy"):
                found.append(Setting(path, "proxy", section["proxy"]))
    if environment.get("PIP_PROXY"):
        found.append(Setting("environment", "PIP_PROXY", environment["PIP_PROXY"]))
    return found


def read_environment(tree: Tree, environment: Mapping[str, str]) -> list[Setting]:
    """The proxy variables of the process, and of /etc/environment, which logins get."""
    found = [Setting("environment", name, value) for name, value in environment.items() if VARIABLES.fullmatch(name)]
    for name, value in ini.assignments(tree.text(ENVIRONMENT)).items():
        if VARIABLES.fullmatch(name):
            found.append(Setting(ENVIRONMENT, name, value))
    return [setting for setting in found if setting.value]


class Proxies:
    """All proxies of a host; `settings` are the facts, with passwords masked."""

    def __init__(self, tree: Tree, environment: Mapping[str, str]) -> None:
        """`environment`: of the process; empty for a recorded machine."""
        self._environment = environment
        self._apt = read_apt(tree)
        self._dnf = read_dnf(tree)
        self._pip = read_pip(tree, environment)
        every = [*read_environment(tree, environment), *self._apt, *self._dnf, *self._pip]
        self.settings = [{"where": item.where, "name": item.name, "value": masked(item.value)} for item in every]

    def variable(self, name: str) -> str:
        """A variable of the process in small letters, else in capitals, as curl and Python read them."""
        return self._environment.get(name) or self._environment.get(name.upper()) or ""

    def bypassed(self, host: str) -> bool:
        """Whether `no_proxy` names the host, a domain above it, or everything."""
        for entry in self.variable("no_proxy").split(","):
            domain = entry.strip().lower().lstrip(".")
            if domain == "*" or (domain and ("." + host.lower()).endswith("." + domain)):
                return True
        return False

    def _of_environment(self, scheme: str, host: str) -> str:
        return "" if self.bypassed(host) else self.variable(f"{scheme}_proxy") or self.variable("all_proxy")

    def for_apt(self, scheme: str, host: str) -> str | None:
        """apt's proxy; empty for none, None where a program of the site's decides (`Proxy-Auto-Detect`).

        As apt-transport-http(1) has it: the host's own setting, else the general one, else the environment. For https,
        that of http stands in.
        """
        last = {setting.name: setting.value for setting in self._apt}
        schemes = (scheme, "http") if scheme == "https" else (scheme,)
        for ending in (f"::{host.lower()}", ""):
            for name in schemes:
                value = last.get(f"acquire::{name}::proxy{ending}", "")
                if value.upper() == "DIRECT" or (value and self.bypassed(host)):
                    return ""
                if value and value.lower() != "false":
                    return value
        if any(re.search("-auto-?detect$", name) for name in last):
            return None
        for name in schemes:
            value = self._of_environment(name, host)
            if value:
                return value
        return ""

    def for_dnf(self, scheme: str, host: str, own: str | None) -> str:
        """dnf's proxy: the repository's `own`, else that of `main`, else the environment; `_none_` is none."""
        value = own if own is not None else (self._dnf[-1].value if self._dnf else "")
        if value:
            return "" if value.lower() == "_none_" else value
        return self._of_environment(scheme, host)

    def for_pip(self, scheme: str, host: str) -> str:
        """pip's proxy: its own setting, else the environment."""
        return self._pip[-1].value if self._pip else self._of_environment(scheme, host)


def server(value: str) -> tuple[str, int] | None:
    """Host and port of a proxy; None for what names none."""
    found = address(value, "http")
    return (found.host, found.port) if found else None
