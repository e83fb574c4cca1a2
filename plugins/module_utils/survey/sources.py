# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from: the sources of apt, dnf and pip, and the server that each of them asks first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey import ini
from ansible_collections.mlops.onprem.plugins.module_utils.survey.proxies import Proxies, pip_files, server
from ansible_collections.mlops.onprem.plugins.module_utils.survey.urls import address, masked

APT_LIST = "/etc/apt/sources.list"
APT_DIRECTORY = "/etc/apt/sources.list.d"
DNF_DIRECTORIES = ("/etc/yum.repos.d", "/etc/dnf/repos.d")
DNF_VARIABLES = ("/etc/yum/vars", "/etc/dnf/vars")
MAX_SOURCES = 1000
_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s*)?(\S+)(?:\s+(\S+))?")


class Source(NamedTuple):
    """A source with its password, for use in here. `proxy`: a dnf repository's own, None for the general one."""

    type: str
    name: str
    where: str
    url: str
    enabled: bool
    proxy: str | None = None


def parse_list(text: str | None, path: str) -> list[Source]:
    """The `deb` lines of sources.list(5); the name is the suite."""
    found = []
    for line in (text or "").splitlines():
        match = _LINE.match(line.strip())
        if match:
            found.append(Source("apt", match.group(2) or "", path, match.group(1), True))
    return found


def parse_deb822(text: str | None, path: str) -> list[Source]:
    """The paragraphs of a .sources file, each URI a source of its own."""
    found: list[Source] = []
    for fields in ini.paragraphs(text):
        if "deb" in fields.get("types", "").split():
            enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "without", "off", "disable", "0")
            suites = fields.get("suites", "")
            found.extend(Source("apt", suites, path, uri, enabled) for uri in fields.get("uris", "").split())
    return found


def parse_repo(text: str | None, path: str, variables: Mapping[str, str]) -> list[Source] | None:
    """The repositories of a .repo file; None when it is none."""
    parsed = ini.sections(text)
    if parsed is None:
        return None
    found = []
    for name, keys in parsed.items():
        if name == "main":
            continue
        # dnf asks the list of mirrors first and takes the base where there is none.
        text = keys.get("metalink") or keys.get("mirrorlist") or keys.get("baseurl") or ""
        for url in text.replace(",", " ").split():
            for variable, value in variables.items():
                url = url.replace(f"${variable}", value).replace(f"${{{variable}}}", value)
            enabled = keys.get("enabled", "1").strip().lower() in ("1", "yes", "true", "on")
            found.append(Source("dnf", name, path, url[:4096], enabled, keys.get("proxy")))
    return found


def read_apt(tree: Tree) -> Iterator[Source]:
    """All sources of apt."""
    for path in [APT_LIST, *ini.files(tree, APT_DIRECTORY, ".list")]:
        yield from parse_list(tree.text(path), path)
    for path in ini.files(tree, APT_DIRECTORY, ".sources"):
        yield from parse_deb822(tree.text(path), path)


def read_dnf(tree: Tree) -> Iterator[Source]:
    """All repositories of dnf; the site's own variables (`/etc/dnf/vars`) are filled in."""
    variables = {}
    for directory in DNF_VARIABLES:
        for path in ini.files(tree, directory, ""):
            variables[path.rpartition("/")[2]] = (tree.text(path, 256) or "").partition("\n")[0]
    for directory in DNF_DIRECTORIES:
        for path in ini.files(tree, directory, ".repo"):
            found = parse_repo(tree.text(path), path, variables)
            if found is None:
                tree.note("sources", path, "not in the form of a .repo file")
            yield from found or []


def read_pip(tree: Tree, environment: Mapping[str, str]) -> list[Source]:
    """The indexes of pip that its files and variables name; the public one that it falls back to is no part of a site."""
    indexes: dict[str, Source] = {}
    found: list[Source] = []
    offline = False
    places = [(path, ini.sections(tree.text(path)) or {}) for path in pip_files(tree, environment)]
    variables = {name[4:].lower(): value for name, value in environment.items() if name.startswith("PIP_") and value}
    for where, parsed in [*places, ("environment", {"global": variables})]:
        for section in ("global", "install"):
            keys = {key.replace("_", "-"): value for key, value in parsed.get(section, {}).items()}
            if keys.get("index-url"):
                indexes["index"] = Source("pip", "index-url", where, keys["index-url"].split()[0], True)
            for key in ("extra-index-url", "find-links"):
                found.extend(Source("pip", key, where, url, True) for url in keys.get(key, "").split())
            offline = keys.get("no-index", "no").lower() in ("1", "yes", "true", "on") or offline
    return found if offline else [*indexes.values(), *found]


class Sources:
    """The sources of a host. `endpoints` are the servers to knock at; `facts` fills in what they answered."""

    def __init__(self, tree: Tree, environment: Mapping[str, str], proxies: Proxies) -> None:
        self._tree = tree
        seen: dict[tuple[str, str, bool, str], list[Source]] = {}
        for source in [*read_apt(tree), *read_dnf(tree), *read_pip(tree, environment)]:
            if len(seen) < MAX_SOURCES:
                seen.setdefault((source.type, source.url, source.enabled, source.proxy or ""), []).append(source)
        self._found = [(group, *self._way(group[0], proxies)) for group in seen.values()]
        self.endpoints = sorted(
            {endpoint for group, _via, endpoint, _reason in self._found if endpoint and group[0].enabled}
        )

    def _way(self, source: Source, proxies: Proxies) -> tuple[str, tuple[str, int] | None, str]:
        """(via, server to ask first, why there is none) of a source."""
        place = address(source.url)
        if place is None:
            local = re.match(r"(/|(file|copy|cdrom|mirror\+file|media|dvd|hd):)", source.url) is not None
            return ("local", None, "on the host itself") if local else ("unknown", None, "the URL names no server")
        if source.type == "apt":
            proxy = proxies.for_apt(place.scheme, place.host)
        elif source.type == "dnf":
            proxy = proxies.for_dnf(place.scheme, place.host, source.proxy)
        else:
            proxy = proxies.for_pip(place.scheme, place.host)
        if proxy is None:
            return "unknown", None, "a program of the site chooses the proxy"
        if not proxy:
            return "direct", (place.host, place.port), ""
        return masked(proxy), server(proxy), "the proxy's URL names no server"

    def facts(self, results: Mapping[tuple[str, int], Any], reason: str) -> list[dict[str, Any]]:
        """The `sources` facts. `results`: what each endpoint answered; `reason`: why none was asked, where none was."""
        records = []
        for group, via, endpoint, no_endpoint in self._found:
            source = group[0]
            result = results.get(endpoint) if endpoint and source.enabled else None
            why = (
                result.reason
                if result
                else no_endpoint
                if endpoint is None
                else reason
                if source.enabled
                else "disabled"
            )
            if result is None:
                for field in ("answer", "milliseconds"):
                    self._tree.note(f"sources[].{field}", "network", "not asked; each record's reason says why")
            records.append(
                {
                    "type": source.type,
                    "name": " ".join(dict.fromkeys(item.name for item in group))[:300],
                    "where": source.where,
                    "url": masked(source.url),
                    "enabled": source.enabled,
                    "via": via,
                    "answer": result.answer if result else None,
                    "reason": why,
                    "milliseconds": result.milliseconds if result else None,
                }
            )
        return records
