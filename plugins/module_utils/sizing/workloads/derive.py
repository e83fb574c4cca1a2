# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From workloads to what they need: the door of this package.

`workload_requirements(workloads)` returns for each workload its name, its recipe with all defaults filled in,
`requirements`: quantity -> {low, expected, high, formula, source}, and `gpu_options`: with how many GPUs of which class it
would do. Sizes are in bytes, rates in bytes per second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads import (
    activations,
    hosts,
    serving,
    states,
    storage,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import (
    GIB,
    Estimate,
    exactly,
    gib,
    total,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import (
    FINETUNE,
    PRETRAIN,
    SERVE,
    TRAIN,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.options import gpu_options
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.recipe import complete

GPU_MEMORY = "gpu_memory_bytes_per_gpu"


def _peak(parts: dict[str, Estimate]) -> Estimate:
    """All tensors of a step.

    Low: gradients come as activations go, so that never all of both are there, in frameworks that free gradients between steps.
    """
    everything = total(parts, states.SOURCE)
    gradients = parts["gradients"].low
    waiting = parts["activations"].low + parts["logits"].low
    return replace(everything, low=everything.low - min(gradients, waiting))


def _training_gpu(recipe: dict[str, Any]) -> dict[str, Estimate]:
    parts = states.states(recipe)
    parts["activations"] = activations.activations(recipe)
    parts["logits"] = activations.logits(recipe)
    tensors, framework = _peak(parts), activations.framework(recipe["gpus"])
    everything = Estimate(
        tensors.low + framework.low,
        tensors.expected + framework.expected,
        tensors.high + framework.high,
        f"{tensors.formula} + framework {gib(framework.expected)}",
        states.SOURCE,
    )
    return {
        **{f"gpu_{name}_bytes_per_gpu": part for name, part in parts.items()},
        "gpu_tensor_bytes_per_gpu": tensors,
        GPU_MEMORY: everything,
    }


def _training(recipe: dict[str, Any]) -> dict[str, Estimate]:
    gpu = _training_gpu(recipe)
    return {
        **gpu,
        "host_offloaded_bytes": hosts.offloaded(recipe),
        "host_processes_bytes": hosts.processes(recipe),
        "host_loading_bytes": hosts.loading(recipe),
        "host_memory_bytes": hosts.memory(recipe, gpu[GPU_MEMORY]),
        **storage.learning(recipe),
        "cpu_threads": hosts.threads(recipe),
    }


def _serving(recipe: dict[str, Any]) -> dict[str, Estimate]:
    gpus, share = recipe["gpus"], recipe["memory_utilization"]
    weights, cache = serving.weights(recipe), serving.kv_cache(recipe)
    tensors = total({"weights": weights, "KV cache": cache}, serving.SOURCE)
    overhead = total({"step": serving.step(), "outside": serving.outside()}, serving.SOURCE)
    low, expected, high = (
        (getattr(tensors, end) / gpus + getattr(overhead, end)) / share for end in ("low", "expected", "high")
    )
    text = f"(({tensors.formula}) / {gpus} + {overhead.formula}) / {share:g} utilization"
    return {
        "weights_bytes": weights,
        "kv_cache_bytes": cache,
        GPU_MEMORY: Estimate(low, expected, high, text, serving.SOURCE),
        "host_memory_bytes": serving.host_memory(weights),
        "storage_bytes": serving.storage(weights),
    }


def _classic(recipe: dict[str, Any]) -> dict[str, Estimate]:
    memory, gpus = recipe["gpu_memory_gib"] * GIB, recipe["gpus"]
    return {
        GPU_MEMORY: Estimate(memory, memory, memory * 1.1, "as measured", "given"),
        "host_memory_bytes": Estimate(
            memory * gpus,
            memory * gpus,
            memory * gpus * 2,
            f"{gpus} GPUs x {gib(memory)}",
            "as much as the GPUs' memory",
        ),
        **storage.learning(recipe),
        "cpu_threads": hosts.threads(recipe),
    }


TASKS = {PRETRAIN: _training, FINETUNE: _training, SERVE: _serving, TRAIN: _classic}
# Of many numbers of GPUs, only their memory is asked for.
MEMORY_OF_TASKS = {**TASKS, PRETRAIN: _training_gpu, FINETUNE: _training_gpu}


def _gpu_memory(recipe: dict[str, Any]) -> float:
    return MEMORY_OF_TASKS[recipe["task"]](recipe)[GPU_MEMORY].expected


def workload_requirements(workloads: object) -> list[dict[str, Any]]:
    """Return one entry for each workload, in their order. Raises `DataError` for data that cannot be used."""
    if not isinstance(workloads, list):
        raise DataError(f"workloads: {workloads!r} is not a list")
    found, names = [], set()
    for position, given in enumerate(workloads, start=1):
        recipe = complete(given, position)
        if recipe["name"] in names:
            raise DataError(f"workload {recipe['name']!r}: the name stands twice; give each workload its own")
        names.add(recipe["name"])
        needs = {"gpus": exactly(recipe["gpus"], "as given", "given"), **TASKS[recipe["task"]](recipe)}
        found.append(
            {
                "name": recipe["name"],
                "task": recipe["task"],
                "recipe": recipe,
                "requirements": {key: need.as_dict() for key, need in needs.items()},
                "gpu_options": gpu_options(recipe, _gpu_memory),
            }
        )
    return found
