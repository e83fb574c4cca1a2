# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role is about to make, written before it does.

A creation that is interrupted leaves disks that are no longer empty and not yet what they should be. Without a record, the next
run could only refuse them. The record names the disks, which were empty when it was written, so that the next run knows what it
may complete or make again. It is removed when a run finds all that is in it to be as planned.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

PATH = "/var/lib/mlops-onprem/storage/journal.json"


def read(path: str) -> dict[str, Any]:
    """Return what was about to be made, by what it is (`array:data`); empty where there is no record that can be read."""
    try:
        made = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {what: entry for what, entry in made.items() if _usable(entry)} if isinstance(made, dict) else {}


def _usable(entry: Any) -> bool:
    devices = entry.get("devices") if isinstance(entry, dict) else None
    return isinstance(devices, list) and all(isinstance(device, dict) for device in devices)


def write(path: str, entries: dict[str, Any]) -> None:
    """Write the record, or remove it when there is nothing in it. It is on the disk when this returns."""
    place = Path(path)
    if not entries:
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    new = place.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
