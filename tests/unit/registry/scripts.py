"""The scripts that the role puts on a host, as modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

FILES = Path(__file__).resolve().parents[3] / "roles/model_registry/files"


def fresh(name, monkeypatch):
    """One of those that import mlflow_data. Each test has its own, since it replaces parts of them, and calls `forget` at its end."""
    monkeypatch.syspath_prepend(str(FILES))
    forget(name)
    return importlib.import_module(name)


def forget(name):
    for module in ("mlflow_data", name):
        sys.modules.pop(module, None)
