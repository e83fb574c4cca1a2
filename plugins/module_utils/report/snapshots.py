# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of hosts, one JSON file each, to be judged later or elsewhere.

A file is `<host>.json` with `{schema, host, taken, facts, profiles, error, survey, ports}`; `taken` is when, for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.report.files import replacing
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError

SCHEMA = 1
# A server's facts take about 20 kB; a file of this size is something else.
MOST_BYTES = 16 * 2**20
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}")
_KEYS = {"schema", "host", "taken", "facts", "profiles", "error", "survey", "ports"}


def save(folder: Path, name: str, host: Mapping[str, Any], taken: str) -> None:
    """Write one host's file. Raises DataError for a name that is no file name, OSError where the folder cannot be written."""
    if not _HOST.fullmatch(name):
        raise DataError(f"host {name!r}: its name cannot be a file name (letters, digits, '_', '.', ':', '-')")
    entry = {
        "schema": SCHEMA,
        "host": name,
        "taken": taken,
        "facts": host.get("facts"),
        "profiles": list(host.get("profiles") or []),
        "error": str(host.get("error") or ""),
        "survey": host.get("survey"),
        "ports": host.get("ports"),
    }
    with replacing(folder / f"{name}.json") as file:
        json.dump(entry, file, sort_keys=True, indent=1)
        file.write("\n")


class Snapshots(Mapping[str, "dict[str, Any]"]):
    """The hosts of a folder by name; each is read when it is asked for, and not kept."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"snapshot folder {str(folder)!r}: there is no such folder")
        self.folder = folder
        self._names = sorted(
            path.name[: -len(".json")] for path in folder.glob("*.json") if not path.name.startswith(".")
        )
        if not self._names:
            raise DataError(f"snapshot folder {str(folder)!r}: holds no HOST.json; take snapshots first")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, name: str) -> dict[str, Any]:
        """The whole file. Raises DataError for what is no snapshot."""
        path = self.folder / f"{name}.json"
        try:
            if path.stat().st_size > MOST_BYTES:
                raise DataError(f"snapshot {str(path)!r}: is larger than {MOST_BYTES} bytes, so it is no snapshot")
            entry = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"snapshot {str(path)!r}: cannot be read: {error}") from error
        if not isinstance(entry, dict) or entry.get("schema") != SCHEMA or not set(entry) <= _KEYS:
            raise DataError(
                f"snapshot {str(path)!r}: is no snapshot of schema {SCHEMA}; take it again with this version"
            )
        if entry.get("host") != name:
            raise DataError(
                f"snapshot {str(path)!r}: is of the host {entry.get('host')!r}; name the file after its host"
            )
        return entry

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._names:
            raise KeyError(name)
        entry = self.read(name)
        return {key: entry.get(key) for key in ("facts", "profiles", "error", "survey", "ports")}
