# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a workload may say, what it must say, and what is taken where it says nothing.

`complete()` checks one workload and returns its recipe: every key of its task with a value. Whatever is wrong raises
`DataError`, which names the workload, the key, the value and the nearest valid word.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest

PRETRAIN, FINETUNE, SERVE, TRAIN = TASKS = ("pretrain", "finetune", "serve", "train")
REQUIRED = object()
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXPONENT = re.compile(r"\d+(\.\d*)?[eE]\d{1,2}")


@dataclass(frozen=True)
class Field:
    """One key: a word of `choices`, else a number from `least` to `most` (whole where `whole`), else true or false."""

    tasks: tuple[str, ...]
    default: Any
    choices: tuple[str, ...] = ()
    least: float = 0
    most: float = 1e18
    whole: bool = True
    flag: bool = False


GRADIENTS = (PRETRAIN, FINETUNE)
# Keys of a workload. None: derived from others, or not needed.
FIELDS: dict[str, Field] = {
    "gpus": Field(TASKS, 1, least=1, most=100_000),
    "method": Field((FINETUNE,), REQUIRED, choices=("full", "lora", "qlora")),
    # mixed: 16-bit weights beside fp32 ones in the optimizer; bf16: 16 bits for all, states included.
    "precision": Field(GRADIENTS, "mixed", choices=("mixed", "bf16", "fp32")),
    "optimizer": Field(GRADIENTS, "adamw", choices=("adamw", "adamw_8bit", "sgd_momentum", "sgd")),
    "optimizer_in_backward": Field(GRADIENTS, False, flag=True),
    "sharding": Field(GRADIENTS, "none", choices=("none", "zero1", "zero2", "zero3")),
    "offload": Field(GRADIENTS, "none", choices=("none", "optimizer", "all")),
    "sequence_length": Field(GRADIENTS, 4096, least=1, most=10**8),
    "micro_batch": Field(GRADIENTS, 1, least=1, most=10**6),
    "activation_checkpointing": Field(GRADIENTS, "full", choices=("none", "selective", "full")),
    "activation_offload": Field(GRADIENTS, False, flag=True),
    "attention": Field(GRADIENTS, "flash", choices=("flash", "eager")),
    "compiled": Field(GRADIENTS, False, flag=True),
    "chunked_loss": Field(GRADIENTS, False, flag=True),
    "lora_rank": Field((FINETUNE,), 16, least=1, most=65536),
    "weight_bits": Field((SERVE,), 16, least=2, most=32),
    "kv_cache_bits": Field((SERVE,), 16, least=2, most=32),
    "concurrent_tokens": Field((SERVE,), REQUIRED, least=1, most=10**12),
    "memory_utilization": Field((SERVE,), 0.9, least=0.1, most=1, whole=False),
    # Measured by the user: classic training has no formula that fits all models.
    "gpu_memory_gib": Field((TRAIN,), REQUIRED, least=0, most=10**4, whole=False),
    "dataset_gib": Field((TRAIN,), REQUIRED, least=0, most=10**9, whole=False),
    "samples_per_second": Field((TRAIN,), REQUIRED, least=0, most=10**9, whole=False),
    "sample_kib": Field((TRAIN,), REQUIRED, least=0, most=10**9, whole=False),
    "workers_per_gpu": Field((PRETRAIN, FINETUNE, TRAIN), 4, least=0, most=1024),
}
# Keys of `model`, for all tasks but classic training. kv_heads, head_size, attention_layers, feed_forward are derived.
MODEL: dict[str, Field] = {
    "parameters": Field(TASKS, REQUIRED, least=0, most=1e15, whole=False),
    "layers": Field(TASKS, REQUIRED, least=1, most=10**5),
    "hidden": Field(TASKS, REQUIRED, least=1, most=10**7),
    "heads": Field(TASKS, REQUIRED, least=1, most=10**5),
    "kv_heads": Field(TASKS, None, least=1, most=10**5),
    "head_size": Field(TASKS, None, least=1, most=10**5),
    "vocabulary": Field(TASKS, REQUIRED, least=1, most=10**8),
    "feed_forward": Field(TASKS, None, least=1, most=10**8),
    # Layers that keep keys and values: fewer than all in hybrid models.
    "attention_layers": Field(TASKS, None, least=1, most=10**5),
    "largest_layer_parameters": Field(TASKS, None, least=1, most=1e15),
}


def _number(where: str, key: str, value: object, field: Field) -> float | int:
    # YAML 1.1, which Ansible reads, takes 8.03e9 for a text: its numbers want a sign in the exponent.
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{where}: {key}: {value!r} is not a number")
    if not field.least <= value <= field.most:
        raise DataError(f"{where}: {key}: {value!r} is not from {field.least:g} to {field.most:g}")
    if field.whole and value != int(value):
        raise DataError(f"{where}: {key}: {value!r} is not a whole number")
    return int(value) if field.whole else value


def _value(where: str, key: str, value: object, field: Field) -> Any:
    if field.flag:
        if not isinstance(value, bool):
            raise DataError(f"{where}: {key}: {value!r} is not true or false")
        return value
    if field.choices:
        if not isinstance(value, str) or value not in field.choices:
            raise DataError(f"{where}: {key}: {value!r} is not valid; {nearest(value, field.choices)}")
        return value
    return _number(where, key, value, field)


def _fill(where: str, given: dict[str, Any], fields: dict[str, Field]) -> dict[str, Any]:
    for key in given:
        if key not in fields:
            raise DataError(f"{where}: there is no key {key!r}; {nearest(key, fields)}")
    filled = {}
    for key, field in fields.items():
        if key in given:
            filled[key] = _value(where, key, given[key], field)
        elif field.default is REQUIRED:
            raise DataError(f"{where}: {key} is missing")
        else:
            filled[key] = field.default
    return filled


def _model(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DataError(f"{where}: model: {given!r} is not a dictionary of {', '.join(MODEL)}")
    model = _fill(f"{where}: model", given, MODEL)
    if model["head_size"] is None and model["hidden"] % model["heads"]:
        raise DataError(
            f"{where}: model: hidden {model['hidden']} is not a multiple of heads {model['heads']}; give head_size, too"
        )
    model["kv_heads"] = model["kv_heads"] or model["heads"]
    model["head_size"] = model["head_size"] or model["hidden"] // model["heads"]
    model["attention_layers"] = model["attention_layers"] or model["layers"]
    model["feed_forward"] = model["feed_forward"] or 4 * model["hidden"]
    for part, whole in (("kv_heads", "heads"), ("attention_layers", "layers")):
        if model[part] > model[whole]:
            raise DataError(f"{where}: model: {part} {model[part]} is more than {whole} {model[whole]}")
    embedding = model["vocabulary"] * model["hidden"]
    if embedding > model["parameters"]:
        raise DataError(
            f"{where}: model: parameters {model['parameters']:g} is less than vocabulary x hidden = {embedding:g}; "
            "parameters are counted in pieces (8.03e9), not in billions"
        )
    if model["largest_layer_parameters"] is None:
        model["largest_layer_parameters"] = max(embedding, (model["parameters"] - embedding) // model["layers"])
    return model


def _contradictions(where: str, recipe: dict[str, Any]) -> None:
    """Recipes that no framework runs, or that say one thing and mean another."""
    sharding, gpus = recipe.get("sharding", "none"), recipe["gpus"]
    if sharding != "none" and gpus == 1:
        raise DataError(f"{where}: sharding: {sharding!r} needs more than one GPU, and gpus is 1")
    if recipe.get("offload", "none") == "all" and sharding != "zero3":
        raise DataError(f"{where}: offload: 'all' needs sharding 'zero3'; {sharding!r} can offload 'optimizer' at most")
    if recipe.get("optimizer_in_backward") and sharding in ("zero1", "zero2"):
        raise DataError(f"{where}: optimizer_in_backward: goes with sharding 'none' or 'zero3', not {sharding!r}")
    if recipe.get("activation_offload") and recipe["activation_checkpointing"] == "none":
        raise DataError(f"{where}: activation_offload: needs activation_checkpointing 'full' or 'selective'")


def complete(given: object, position: int) -> dict[str, Any]:
    """Return the recipe of one workload; `position`, from 1, names it where it has no name."""
    where = f"workload {position}"
    if not isinstance(given, dict):
        raise DataError(f"{where}: {given!r} is not a dictionary")
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DataError(f"{where}: name: {name!r} is not one word of letters, digits, '.', '_' and '-'")
    where = f"workload {name!r}"
    task = given.get("task")
    if task not in TASKS:
        raise DataError(f"{where}: task: {task!r} is not valid; {nearest(task, TASKS)}")
    fields = {key: field for key, field in FIELDS.items() if task in field.tasks}
    rest = {key: value for key, value in given.items() if key not in ("name", "task", "model")}
    for key in rest:
        if key in FIELDS and key not in fields:
            raise DataError(
                f"{where}: {key} does not belong to the task {task!r}, only to {', '.join(FIELDS[key].tasks)}"
            )
    recipe = {"name": name, "task": task, **_fill(where, rest, fields)}
    if task == TRAIN:
        if "model" in given:
            raise DataError(f"{where}: model does not belong to the task 'train'; give gpu_memory_gib as measured")
    else:
        recipe["model"] = _model(where, given.get("model"))
    _contradictions(where, recipe)
    return recipe
