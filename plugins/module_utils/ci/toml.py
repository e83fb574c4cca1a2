# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML, as far as GitLab Runner writes it: hosts have Python from 3.9, and a reader comes with 3.11 only.

Source: the specification of TOML 1.0. What is not known here is refused with its line, never guessed: who cannot read a file must not
write it anew. Dates stay the text that they are.
"""

from __future__ import annotations

import json
import re
from typing import Any


class Unreadable(ValueError):
    """The text is no TOML that is known here."""


class Stamp(str):
    """A date or time, written without quotes."""


_BARE = r"[A-Za-z0-9_-]+"
_KEY = re.compile(rf'[ \t]*({_BARE}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\')[ \t]*')
_NUMBER = re.compile(r"[+-]?(0x[0-9A-Fa-f_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*(\.[0-9_]+)?([eE][+-]?[0-9_]+)?|inf|nan)")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?|[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\", "e": "\x1b"}


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fail(self, what: str) -> Unreadable:
        return Unreadable(f"line {self.text.count(chr(10), 0, self.at) + 1}: {what}")

    def blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def take(self, word: str) -> bool:
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        return False

    def need(self, word: str) -> None:
        if not self.take(word):
            raise self.fail(f"'{word}' is missing")

    def line_end(self) -> None:
        match = re.compile(r"[ \t]*(#[^\n]*)?(\r?\n|\Z)").match(self.text, self.at)
        if match is None:
            raise self.fail("there is something after the value")
        self.at = match.end()

    def keys(self) -> list[str]:
        found = []
        while True:
            match = _KEY.match(self.text, self.at)
            if match is None:
                raise self.fail("a key is missing")
            word = match.group(1)
            found.append(word[1:-1] if word[0] == "'" else self.unescaped(word[1:-1]) if word[0] == '"' else word)
            self.at = match.end()
            if not self.take("."):
                return found

    def unescaped(self, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            word = match.group(1)
            if word[0] in "uU" and len(word) > 1:
                return chr(int(word[1:], 16))
            if word not in _ESCAPES:
                raise self.fail(f"\\{word} is no escape")
            return _ESCAPES[word]

        return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", one, text, flags=re.DOTALL)

    def value(self) -> Any:
        for mark in ('"""', "'''"):
            if self.take(mark):
                return self.long(mark)
        if self.take('"'):
            return self.unescaped(self.until(r'((?:[^"\\\n]|\\.)*)"'))
        if self.take("'"):
            return self.until(r"([^'\n]*)'")
        if self.take("["):
            return self.array()
        if self.take("{"):
            return self.inline()
        for word, value in (("true", True), ("false", False)):
            if self.take(word):
                return value
        date = _DATE.match(self.text, self.at)
        if date:
            self.at = date.end()
            return Stamp(date.group())
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            word = number.group().replace("_", "")
            return float(word) if re.search(r"[.]|inf|nan|^[+-]?[0-9]+[eE]", word) else int(word, 0)
        raise self.fail("there is no value")

    def until(self, pattern: str) -> str:
        match = re.compile(pattern).match(self.text, self.at)
        if match is None:
            raise self.fail("a text does not end")
        self.at = match.end()
        return match.group(1)

    def long(self, mark: str) -> str:
        if not self.take("\n"):
            self.take("\r\n")
        # Up to two of its quotes may stand at a text's end.
        match = re.compile(
            rf"(.*?(?<!\\)(?:\\\\)*{mark[0]}{{0,2}}){mark}(?!{mark[0]})"
            if mark == '"""'
            else rf"(.*?'{{0,2}}){mark}(?!')",
            re.DOTALL,
        ).match(self.text, self.at)
        if match is None:
            raise self.fail("a text does not end")
        self.at = match.end()
        text = match.group(1)
        return self.unescaped(re.sub(r"\\[ \t]*\r?\n\s*", "", text)) if mark == '"""' else text

    def array(self) -> list[Any]:
        found: list[Any] = []
        while True:
            self.blank()
            if self.take("]"):
                return found
            found.append(self.value())
            self.blank()
            if not self.take(","):
                self.need("]")
                return found

    def inline(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.blank()
        if self.take("}"):
            return found
        while True:
            self.pair(found)
            self.blank()
            if not self.take(","):
                self.need("}")
                return found
            self.blank()

    def pair(self, table: dict[str, Any]) -> None:
        *path, last = self.keys()
        for key in path:
            table = self.below(table, key)
        self.need("=")
        while self.take(" ") or self.take("\t"):
            pass
        if last in table:
            raise self.fail(f"{last} is there twice")
        table[last] = self.value()

    def below(self, table: dict[str, Any], key: str) -> dict[str, Any]:
        found = table.setdefault(key, {})
        if isinstance(found, list) and found and isinstance(found[-1], dict):
            return found[-1]
        if not isinstance(found, dict):
            raise self.fail(f"{key} is no table")
        return found

    def document(self) -> dict[str, Any]:
        root: dict[str, Any] = {}
        table = root
        while True:
            self.blank()
            if self.at >= len(self.text):
                return root
            if self.take("[["):
                *path, last = self.keys()
                self.need("]]")
                table = root
                for key in path:
                    table = self.below(table, key)
                entries = table.setdefault(last, [])
                if not isinstance(entries, list):
                    raise self.fail(f"{last} is no list of tables")
                table = {}
                entries.append(table)
            elif self.take("["):
                path = self.keys()
                self.need("]")
                table = root
                for key in path:
                    table = self.below(table, key)
            else:
                self.pair(table)
            self.line_end()


def loads(text: str) -> dict[str, Any]:
    """Return a document as mappings; Unreadable with its line where it is not known how."""
    return _Reader(text).document()


def dumps(table: dict[str, Any], path: tuple[str, ...] = ()) -> str:
    """Return mappings as a document, values before tables."""
    lines = [f"{_name(key)} = {_value(value)}" for key, value in table.items() if not _is_table(value)]
    text = "".join(f"{line}\n" for line in lines)
    for key, value in table.items():
        if not _is_table(value):
            continue
        inner = (*path, key)
        title = ".".join(_name(part) for part in inner)
        for one in [value] if isinstance(value, dict) else value:
            text += f"\n{f'[{title}]' if isinstance(value, dict) else f'[[{title}]]'}\n" + dumps(one, inner)
    return text.lstrip("\n") if not path else text


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
    )


def _name(key: str) -> str:
    return key if re.fullmatch(_BARE, key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Stamp):
        return str(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return _text(str(value))


def _text(text: str) -> str:
    """JSON's text is TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
