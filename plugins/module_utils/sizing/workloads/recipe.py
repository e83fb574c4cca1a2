# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One workload, checked and completed: every key of its task with a value.

Whatever is wrong raises `DataError`, which names the workload, the key, the value and the nearest valid word.
"""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import (
    FIELDS,
    MODEL,
    SERVE,
    TASKS,
    TRAIN,
    fill,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.states import adapter_parameters

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# key -> (another key, its values): what the key means something with.
ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "lora_rank": ("method", ("lora", "qlora")),
    "frozen_bits": ("method", ("qlora",)),
}


def _model(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise DataError(f"{where}: model: {given!r} is not a dictionary of {', '.join(MODEL)}")
    model = fill(f"{where}: model", given, MODEL)
    if model["head_size"] is None and model["hidden"] % model["heads"]:
        raise DataError(
            f"{where}: model: hidden {model['hidden']} is not a multiple of heads {model['heads']}; give head_size, too"
        )
    model["kv_heads"] = model["kv_heads"] or model["heads"]
    model["head_size"] = model["head_size"] or model["hidden"] // model["heads"]
    model["attention_layers"] = model["attention_layers"] or model["layers"]
    model["feed_forward"] = model["feed_forward"] or 4 * model["hidden"]
    if model["sliding_layers"] and not model["sliding_window"]:
        raise DataError(f"{where}: model: sliding_layers needs sliding_window, the tokens that such a layer keeps")
    if model["sliding_window"] and not model["sliding_layers"]:
        model["sliding_layers"] = model["attention_layers"]
    model["sliding_layers"] = model["sliding_layers"] or 0
    for part, whole in (
        ("kv_heads", "heads"),
        ("attention_layers", "layers"),
        ("sliding_layers", "attention_layers"),
    ):
        if model[part] > model[whole]:
            raise DataError(f"{where}: model: {part} {model[part]} is more than {whole} {model[whole]}")
    if model["heads"] % model["kv_heads"]:
        raise DataError(
            f"{where}: model: heads {model['heads']} is not a multiple of kv_heads {model['kv_heads']}: "
            "each head of keys and values serves the same number of query heads"
        )
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
    task, sharding, gpus = recipe["task"], recipe.get("sharding", "none"), recipe["gpus"]
    if sharding != "none" and gpus == 1 and recipe["offload"] == "none":
        raise DataError(
            f"{where}: sharding: {sharding!r} needs more than one GPU or offload, and gpus is 1 and offload is 'none'"
        )
    if recipe.get("method") == "qlora" and recipe["precision"] == "fp32":
        raise DataError(f"{where}: precision: 'fp32' does not go with method 'qlora', which computes in 16 bits")
    if recipe.get("dataset_gib") and recipe.get("dataset_tokens"):
        raise DataError(f"{where}: dataset_gib and dataset_tokens both say how large the dataset is; give one")
    if recipe.get("offload", "none") == "all" and sharding != "zero3":
        raise DataError(f"{where}: offload: 'all' needs sharding 'zero3'; {sharding!r} can offload 'optimizer' at most")
    if recipe.get("optimizer_in_backward") and sharding in ("zero1", "zero2"):
        raise DataError(f"{where}: optimizer_in_backward: goes with sharding 'none' or 'zero3', not {sharding!r}")
    if recipe.get("activation_offload") and recipe["activation_checkpointing"] != "full":
        raise DataError(
            f"{where}: activation_offload: needs activation_checkpointing 'full', not {recipe['activation_checkpointing']!r}: "
            "it moves the inputs of layers that checkpointing keeps"
        )
    if recipe.get("method", "full") != "full" and adapter_parameters(recipe) >= recipe["model"]["parameters"]:
        raise DataError(
            f"{where}: lora_rank: with {recipe['lora_rank']}, the adapters have more parameters than the model itself"
        )
    if task == TRAIN and recipe["dataset_gib"] is None:
        raise DataError(f"{where}: dataset_gib is missing")
    if task == SERVE:
        requests, tokens = recipe["concurrent_requests"], recipe["concurrent_tokens"]
        if recipe["model"]["sliding_window"] and requests is None:
            raise DataError(f"{where}: concurrent_requests is missing: a sliding window caps what each request keeps")
        if requests is not None and requests > tokens:
            raise DataError(
                f"{where}: concurrent_requests {requests} is more than concurrent_tokens {tokens}, and each holds a token"
            )


def _idle_keys(where: str, given: dict[str, Any], recipe: dict[str, Any]) -> None:
    """A key that nothing would come of was meant to do something."""
    for key, (other, values) in ONLY_WITH.items():
        if key in given and recipe[other] not in values:
            raise DataError(
                f"{where}: {key}: goes with {other} {' or '.join(map(repr, values))}, not {recipe[other]!r}"
            )
    if recipe["task"] == TRAIN and recipe["checkpoint_gib"] is None:
        for key in ("checkpoints_kept", "checkpoint_stall_seconds"):
            if key in given:
                raise DataError(f"{where}: {key}: needs checkpoint_gib, the size of a checkpoint")


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
    recipe = {"name": name, "task": task, **fill(where, rest, fields)}
    if task == TRAIN:
        if "model" in given:
            raise DataError(f"{where}: model does not belong to the task 'train'; give gpu_memory_gib as measured")
    else:
        recipe["model"] = _model(where, given.get("model"))
        if task != SERVE and recipe["loading"] is None:
            recipe["loading"] = "layers" if recipe["sharding"] == "zero3" else "whole"
    _idle_keys(where, rest, recipe)
    _contradictions(where, recipe)
    return recipe
