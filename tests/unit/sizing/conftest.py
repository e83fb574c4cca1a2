"""Let the tests of this folder share samples.py, and take their time on a busy computer."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent))

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
