"""The documentation of a workload's keys says what the code does: names, types, defaults, choices, and for which tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.derive import workload_requirements
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import (
    FIELDS,
    MODEL,
    REQUIRED,
    TASKS,
    Field,
)

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "plugins/filter/workload_requirements.yml"
GUIDE = ROOT / "docs/sizing.md"
SHOWN = ("gpu_memory_bytes_per_gpu", "host_memory_bytes", "kv_cache_bytes", "checkpoint_bytes", "storage_bytes")
OPTIONS = yaml.safe_load(PAGE.read_text())["DOCUMENTATION"]["options"]["_input"]["suboptions"]
OF_MODEL = OPTIONS["model"]["suboptions"]


def kind(field: Field) -> str:
    if field.flag:
        return "bool"
    if field.choices:
        return type(field.choices[0]).__name__
    return "int" if field.whole else "float"


def tasks(field: Field) -> str:
    """How the description begins where a key is not for all tasks."""
    words = [f"V({task})" for task in field.tasks]
    return f"For {', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else f"For {words[0]}"


def test_every_key_is_documented_and_no_other():
    assert set(OPTIONS) == {"name", "task", "model", *FIELDS}
    assert set(OF_MODEL) == set(MODEL)
    assert tuple(OPTIONS["task"]["choices"]) == TASKS


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [(name, field, OPTIONS[name]) for name, field in FIELDS.items()]
    + [(f"model.{name}", field, OF_MODEL[name]) for name, field in MODEL.items()],
)
def test_a_key_is_documented_as_it_is(name: str, field: Field, said: dict[str, Any]):
    assert said["type"] == kind(field)
    assert tuple(said.get("choices", ())) == field.choices
    default = None if field.default is REQUIRED else field.default
    assert said.get("default") == default
    assert type(said.get("default")) is type(default) or kind(field) == "float"
    text = said["description"] if isinstance(said["description"], str) else said["description"][0]
    if name.startswith("model."):
        assert said.get("required", False) is (field.default is REQUIRED)
    elif field.tasks != TASKS:
        assert text.startswith(tasks(field)), text
        assert ("where it is required" in text) is (field.default is REQUIRED)


def block(kind_of: str) -> str:
    """The first fenced block of this kind in the guide."""
    return GUIDE.read_text().split(f"```{kind_of}\n", 1)[1].split("```", 1)[0]


def example() -> str:
    """What the guide says that its example is told."""
    lines = []
    for found in workload_requirements(yaml.safe_load(block("yaml"))["mlops_workloads"]):
        for quantity in SHOWN:
            need = found["requirements"].get(quantity)
            if need:
                low, expected, high = (need[end] / 2**30 for end in ("low", "expected", "high"))
                lines.append(f"{found['name']:<16} {quantity:<25} {expected:8.1f} GiB ({low:.1f} to {high:.1f})\n")
        options = ", ".join(f"{option['gpus']} of {option['class_gb']} GB" for option in found["gpu_options"])
        lines.append(f"{found['name']:<16} {'gpu_options':<25} {options}\n")
    return "".join(lines)


def test_the_guide_shows_what_is_computed():
    assert block("text") == example()
