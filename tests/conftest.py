"""Makes the collection importable as `ansible_collections.mlops.onprem`, as Ansible does."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".build" / "collections"))
