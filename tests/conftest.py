"""Makes the collection importable as `ansible_collections.mlops.onprem`, as Ansible does, and says how hypothesis draws."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".build" / "collections"))

# A busy computer is no bug: no time is measured. And whoever changes one thing is not told of a fault in another: the same
# examples are drawn each time, and new ones where all is run.
settings.register_profile("unhurried", deadline=None, derandomize=os.environ.get("MLOPS_ALL", "") != "1")
settings.load_profile("unhurried")
