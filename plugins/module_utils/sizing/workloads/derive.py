# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From workloads to what they need: the door of this package.

`workload_requirements(workloads)` returns for each workload its name, its recipe with all defaults filled in,
`requirements`: quantity -> {low, expected, high, formula, source}, and `gpu_options`: with how many GPUs of which class it
would do. Sizes are in bytes, rates in bytes per second.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads import activations, serving, states
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import (
    GIB,
    Estimate,
    billions,
    gib,
    total,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import SERVE, TRAIN, complete
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.options import gpu_options

# Of a checkpoint that training can go on from: 16-bit weights, and fp32 master copy, momentum and variance.
CHECKPOINT_BYTES = 14
# A shared file system is slow and fragile when it is full: buy 125 % of what is stored.
STORAGE_RESERVE = 1.25


def _exactly(size: float, formula: str, source: str) -> Estimate:
    return Estimate(size, size, size, formula, source)


def _training(recipe: dict[str, Any]) -> dict[str, Estimate]:
    parts = states.states(recipe)
    parts["activations"] = activations.activations(recipe)
    parts["logits"] = activations.logits(recipe)
    tensors = total(parts, states.SOURCE)
    everything = total({**parts, "framework": activations.framework(recipe["gpus"])}, states.SOURCE)
    full = recipe.get("method", "full") == "full"
    trained = recipe["model"]["parameters"] if full else states.adapter_parameters(recipe)
    needs = {f"gpu_{name}_bytes_per_gpu": part for name, part in parts.items()}
    needs["gpu_tensor_bytes_per_gpu"] = tensors
    needs["gpu_memory_bytes_per_gpu"] = everything
    needs["checkpoint_bytes"] = _exactly(
        trained * CHECKPOINT_BYTES,
        f"{billions(trained)} x {CHECKPOINT_BYTES} B",
        "2 B of weights and 12 B of fp32 optimizer states; 105 GiB for 8.03e9 in MLPerf Storage",
    )
    moved = states.offloaded_bytes(recipe)
    needs["host_memory_bytes"] = Estimate(
        moved + everything.low * recipe["gpus"],
        moved * 1.25 + everything.expected * recipe["gpus"],
        moved * 1.5 + everything.high * recipe["gpus"],
        f"memory used on {recipe['gpus']} GPUs {gib(everything.expected * recipe['gpus'])} + offloaded {gib(moved)} x 1.25",
        "as much as the GPUs' memory for loading and checkpoints; DeepSpeed documentation: 1.5 for offloaded states",
    )
    return needs


def _serving(recipe: dict[str, Any]) -> dict[str, Estimate]:
    gpus, share = recipe["gpus"], recipe["memory_utilization"]
    weights, cache = serving.weights(recipe), serving.kv_cache(recipe)
    parts = {"weights": weights, "KV cache": cache}
    tensors = total(parts, serving.SOURCE)
    overhead = total({"step": serving.step(), "outside": serving.outside()}, serving.SOURCE)
    low, expected, high = (
        (getattr(tensors, end) / gpus + getattr(overhead, end)) / share for end in ("low", "expected", "high")
    )
    return {
        "weights_bytes": weights,
        "kv_cache_bytes": cache,
        "gpu_memory_bytes_per_gpu": Estimate(
            low,
            expected,
            high,
            f"(({tensors.formula}) / {gpus} + {overhead.formula}) / {share:g} utilization",
            serving.SOURCE,
        ),
        "host_memory_bytes": Estimate(
            weights.low,
            weights.expected + 4 * GIB,
            2 * weights.high + 16 * GIB,
            "weights while loading, and 4 GiB",
            "estimate",
        ),
    }


def _classic(recipe: dict[str, Any]) -> dict[str, Estimate]:
    memory, gpus = recipe["gpu_memory_gib"] * GIB, recipe["gpus"]
    data, rate = recipe["dataset_gib"] * GIB, recipe["samples_per_second"] * recipe["sample_kib"] * 2**10
    stored = data * STORAGE_RESERVE
    return {
        "gpu_memory_bytes_per_gpu": Estimate(memory, memory, memory * 1.1, "as measured", "given"),
        "host_memory_bytes": Estimate(
            memory * gpus,
            memory * gpus,
            memory * gpus * 2,
            f"{gpus} GPUs x {gib(memory)}",
            "as much as the GPUs' memory",
        ),
        "storage_bytes": Estimate(data, stored, stored * 2, f"{gib(data)} x {STORAGE_RESERVE}", "80 % usable"),
        "storage_read_bytes_per_second": Estimate(
            rate * 0.9,
            rate,
            rate * 1.25,
            f"{recipe['samples_per_second']:g} samples/s x {recipe['sample_kib']:g} KiB",
            "all samples are read from storage once an epoch; 90 % accelerator use is the least that MLPerf Storage accepts",
        ),
    }


def _derive(recipe: dict[str, Any]) -> dict[str, Estimate]:
    return {SERVE: _serving, TRAIN: _classic}.get(recipe["task"], _training)(recipe)


def _gpu_memory(recipe: dict[str, Any]) -> float:
    return _derive(recipe)["gpu_memory_bytes_per_gpu"].expected


def _threads(recipe: dict[str, Any]) -> Estimate:
    gpus, workers = recipe["gpus"], recipe["workers_per_gpu"]
    count = gpus * (workers + 1) + 4
    return Estimate(
        gpus + 1,
        count,
        count * 2,
        f"{gpus} GPUs x ({workers} workers + 1) + 4",
        "one process a GPU, its data loaders, the system",
    )


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
        needs = {"gpus": _exactly(recipe["gpus"], "as given", "given"), **_derive(recipe)}
        if "workers_per_gpu" in recipe:
            needs["cpu_threads"] = _threads(recipe)
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
