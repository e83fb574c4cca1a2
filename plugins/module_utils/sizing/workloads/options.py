# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With how many GPUs of which class a workload would do: what to look for, or to buy.

More GPUs make the share of each smaller where the recipe splits something over them (sharding, or tensors in serving). The
numbers tried are those that servers come in: 1, 2, 4, and multiples of 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import GIB, GPU_CLASS_LACK, GPU_CLASSES_GB
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import SERVE

# Smaller cards are not bought for this work any more.
SMALLEST_CLASS_GB = 16
COUNTS = (1, 2, 4, *range(8, 1025, 8))


def usable_bytes(class_gb: float) -> float:
    """Return the least memory that a card of this class has: a T4, sold as 16 GB, lacks 6.3 % of 16 GiB."""
    return class_gb * GIB * (1 - GPU_CLASS_LACK)


def counts(recipe: dict[str, Any]) -> Iterable[int]:
    """Return the numbers of GPUs that the recipe can be run on, in rising order."""
    if recipe["task"] == SERVE:
        # Tensor parallelism gives each GPU whole attention heads.
        return [count for count in COUNTS if recipe["model"]["heads"] % count == 0]
    if recipe.get("sharding", "none") == "none":
        return [recipe["gpus"]]
    # Sharding over one GPU makes sense with offload only.
    return [count for count in COUNTS if count > 1 or recipe["offload"] != "none"]


def gpu_options(recipe: dict[str, Any], bytes_per_gpu: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """Return `{class_gb, gpus}` for each class that does, the smallest class first.

    bytes_per_gpu: what a recipe expects of each GPU. A larger class is left out where it saves no GPU.
    """
    needs = [(count, bytes_per_gpu({**recipe, "gpus": count})) for count in counts(recipe)]
    found: list[dict[str, Any]] = []
    for class_gb in GPU_CLASSES_GB:
        if class_gb < SMALLEST_CLASS_GB:
            continue
        enough = next((count for count, need in needs if need <= usable_bytes(class_gb)), None)
        if enough is not None and (not found or enough < found[-1]["gpus"]):
            found.append({"class_gb": class_gb, "gpus": enough})
    return found
