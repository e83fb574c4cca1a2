# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What training needs of the hosts: memory and CPU threads. All hosts of the workload together.

Sources: the DeepSpeed documentation, "Memory Requirements", General RAM; memory of the processes as measured by PEFT (its README).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads import activations, states
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import GIB, Estimate, gib, total

SOURCE = "DeepSpeed documentation, Memory Requirements, General RAM"
# DeepSpeed's own buffer factor is the high end; two of three measured runs with everything offloaded took less than the middle.
FACTORS = (1.0, 1.25, 1.5)
# A training process with nothing offloaded: 2.96 to 3.97 GB measured.
PROCESS_GIB = (0, 3, 4)
# PyTorch makes a model in fp32 unless it is told otherwise.
LOADED_BYTES = {"mixed": 4, "bf16": 2, "fp32": 4}


def _buffered(size: float, text: str) -> Estimate:
    low, expected, high = (size * factor for factor in FACTORS)
    return Estimate(low, expected, high, f"{text} x {FACTORS[1]}", SOURCE)


def offloaded(recipe: dict[str, Any]) -> Estimate:
    """Bytes of states and activations that lie on the hosts, with buffers."""
    moved = states.offloaded_bytes(recipe) + activations.offloaded_bytes(recipe)
    return _buffered(moved, f"offloaded {gib(moved)}")


def processes(recipe: dict[str, Any]) -> Estimate:
    """Bytes of the training processes themselves, one for each GPU."""
    low, expected, high = (recipe["gpus"] * each * GIB for each in PROCESS_GIB)
    text = f"{recipe['gpus']} processes x {PROCESS_GIB[1]} GiB"
    return Estimate(low, expected, high, text, "2.96 to 3.97 GB a process measured (PEFT README)")


def loading(recipe: dict[str, Any]) -> Estimate:
    """Bytes while the processes load the model: one copy each, or one layer each. They are given back afterwards."""
    model, each, gpus = recipe["model"], LOADED_BYTES[recipe["precision"]], recipe["gpus"]
    count = model["parameters"] if recipe["loading"] == "whole" else model["largest_layer_parameters"]
    what = "whole model" if recipe["loading"] == "whole" else "largest layer"
    return _buffered(count * each * gpus, f"{what} {gib(count * each)} x {gpus} processes")


def memory(recipe: dict[str, Any], gpu_memory: Estimate) -> Estimate:
    """Bytes to buy: room for what is loaded or offloaded, and as much again as the GPUs hold, for checkpoints and page cache.

    gpu_memory: what is used on one GPU.
    """
    gpus, loaded = recipe["gpus"], loading(recipe)
    running = total({"offloaded": offloaded(recipe), "processes": processes(recipe)}, SOURCE)
    low, expected, high = (
        max(getattr(loaded, end), getattr(running, end) + getattr(gpu_memory, end) * gpus)
        for end in ("low", "expected", "high")
    )
    text = f"the larger of (used on {gpus} GPUs {gib(gpu_memory.expected * gpus)} + {running.formula})"
    source = f"as much as the GPUs' memory (Bekman, Machine Learning Engineering, CPU memory); {SOURCE}"
    return Estimate(low, expected, high, f"{text} and (loading {gib(loaded.expected)})", source)


def threads(recipe: dict[str, Any]) -> Estimate:
    """CPU threads: a process for each GPU, its data loaders, and the system."""
    gpus, workers = recipe["gpus"], recipe["workers_per_gpu"]
    count = gpus * (workers + 1) + 4
    text = f"{gpus} GPUs x ({workers} workers + 1) + 4"
    return Estimate(
        gpus + 1, count, count * 2, text, "Bekman, Machine Learning Engineering, CPU: cores of a training node"
    )
