"""Where the recorded machines are, and the names of their files for tests that run once for each."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("MLOPS_RECORDED_HARDWARE") or REPOSITORY.parent / "shared" / "recorded-hardware")


def names(*patterns: str) -> list[str]:
    """Names, from the folder, of the files that the patterns match; empty where the folder is absent."""
    found = {path for pattern in patterns for path in PLACE.glob(pattern) if path.is_file()}
    return sorted(str(path.relative_to(PLACE)) for path in found)
