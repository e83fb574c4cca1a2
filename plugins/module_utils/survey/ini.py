# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notations of package managers' configuration files, parsed without following or believing anything in them."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator

from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree

MAX_FILES = 500
_WORD_END = re.compile(r'[\s{};"]')


def files(tree: Tree, directory: str, *endings: str) -> list[str]:
    """Paths of the files in a directory whose names end so, sorted; at most MAX_FILES."""
    return [f"{directory}/{name}" for name in tree.names(directory) if name.endswith(endings)][:MAX_FILES]


def sections(text: str | None) -> dict[str, dict[str, str]] | None:
    """`[section]` and `key = value` lines by section and key (small letters); None when it is no such file."""
    parser = configparser.RawConfigParser(strict=False, default_section="\0", delimiters=("=", ":"))
    try:
        parser.read_string(text or "")
        return {name: dict(parser.items(name)) for name in parser.sections()}
    # A line of an odd shape makes the parser stumble over itself.
    except (configparser.Error, ValueError, AttributeError, TypeError):
        return None


def assignments(text: str | None) -> dict[str, str]:
    """`NAME=value` lines, as in /etc/environment: with or without `export` and quotes."""
    found = {}
    for line in (text or "").splitlines():
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line)
        if match:
            value = match.group(2).strip()
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            found[match.group(1)] = value
    return found


def _apt_tokens(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text): `value` for a quoted string, `word`, or `mark` for a brace or semicolon."""
    place = 0
    while place < len(text):
        letter = text[place]
        if text.startswith("/*", place):
            end = text.find("*/", place + 2)
            place = len(text) if end < 0 else end + 2
        elif letter == "#" or text.startswith("//", place):
            end = text.find("\n", place)
            place = len(text) if end < 0 else end
        elif letter == '"':
            end = text.find('"', place + 1)
            end = len(text) if end < 0 else end
            yield "value", text[place + 1 : end]
            place = end + 1
        elif letter in "{};":
            yield "mark", letter
            place += 1
        elif letter.isspace():
            place += 1
        else:
            mark = _WORD_END.search(text, place)
            stop = mark.start() if mark else len(text)
            yield "word", text[place:stop]
            place = stop


def apt_settings(text: str | None) -> list[tuple[str, str]]:
    """(name in small letters, value) of apt.conf's settings, in order: `Acquire::http::Proxy "x";` or nested in braces."""
    found: list[tuple[str, str]] = []
    scopes: list[str] = []
    words: list[str] = []
    for kind, token in _apt_tokens(text or ""):
        if kind == "mark":
            if token == "{" and len(scopes) < 50:
                scopes.append(words[0] if words else "")
            elif token == ";" and len(words) >= 2:
                found.append(("::".join([*scopes, words[0]]).lower(), words[1]))
            elif token == "}" and scopes:
                scopes.pop()
            words = []
        else:
            words.append(token)
    return found


def paragraphs(text: str | None) -> Iterator[dict[str, str]]:
    """deb822 paragraphs by field name in small letters; lines of a value are joined with a space."""
    fields: dict[str, str] = {}
    last = ""
    for line in [*(text or "").splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if last:
                fields[last] += " " + line.strip()
        else:
            name, colon, value = line.partition(":")
            last = name.strip().lower() if colon else ""
            if last:
                fields[last] = value.strip()
