# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report files: each appears whole or not at all, and no page of an older, larger fleet is left beside the new ones."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

# Version of report.json. Keys are added within one version, never changed.
SCHEMA = 1
COLUMNS = (
    *("host", "check", "status", "required", "found", "short_by", "evidence", "remedy", "why", "severity"),
    *("waived_by", "simulated", "planned", "host_error"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_HOST_PAGE = re.compile(r"hosts-[0-9]{4,}\.html")


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A text file that takes its place when it is complete; where writing it fails, what was there stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def cell(value: object) -> str:
    """A CSV cell; a leading apostrophe keeps a spreadsheet from taking it for a formula."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """report.csv: one line a row, all cells quoted."""
    with replacing(path) as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([cell(row.get(column, "")) for column in COLUMNS] for row in rows)


class HostStream:
    """The `hosts` of report.json, written while they pass by, so that their facts need not be kept."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._first = file, True
        file.write('{\n"hosts": {')

    def add(self, name: str, host: dict[str, Any]) -> None:
        self._file.write("" if self._first else ",")
        self._file.write(f"\n{json.dumps(name)}: {json.dumps(host, sort_keys=True)}")
        self._first = False

    def close(self, rest: dict[str, Any]) -> None:
        """End the document with the other keys; lists of records get one line each, for people and for diff."""
        self._file.write("\n}")
        for key, value in {"schema": SCHEMA, **rest}.items():
            self._file.write(f",\n{json.dumps(key)}: ")
            if isinstance(value, list) and value:
                self._file.write("[\n" + ",\n".join(json.dumps(item, sort_keys=True) for item in value) + "\n]")
            else:
                self._file.write(json.dumps(value, sort_keys=True))
        self._file.write("\n}\n")


def write_pages(folder: Path, index: str, pages: Iterable[tuple[str, str]]) -> None:
    """index.html last, so that it never points at pages that are not there yet."""
    kept = set()
    for name, text in pages:
        kept.add(name)
        with replacing(folder / name) as file:
            file.write(text)
    with replacing(folder / "index.html") as file:
        file.write(index)
    for old in folder.glob("hosts-*.html"):
        if _HOST_PAGE.fullmatch(old.name) and old.name not in kept:
            old.unlink()
