# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model states of training: weights, gradients and optimizer, how many bytes each parameter takes, and where they lie.

Sources: Rajbhandari et al., ZeRO (2020), section 3; the DeepSpeed documentation, "Memory Requirements"; Dettmers et al.,
QLoRA (2023), section 3; Hu et al., LoRA (2021), section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import Estimate, billions, gib

SOURCE = "ZeRO (Rajbhandari et al. 2020), section 3; DeepSpeed documentation, Memory Requirements"

# Bytes for each parameter. Gradients of mixed precision are 16-bit in ZeRO's paper and fp32 in DeepSpeed and Megatron: a band.
WEIGHTS = {"mixed": 2, "bf16": 2, "fp32": 4}
GRADIENTS_LOW = {"mixed": 2, "bf16": 2, "fp32": 4}
GRADIENTS = {"mixed": 4, "bf16": 2, "fp32": 4}
MASTER = {"mixed": 4, "bf16": 0, "fp32": 0}
STATE_BYTES = {"mixed": 4, "bf16": 2, "fp32": 4}
STATES = {"adamw": 2, "adamw_8bit": 2, "sgd_momentum": 1, "sgd": 0}
# NF4 with double quantization: 4 bits, and 0.127 for the constants of the blocks.
NF4_BYTES = 4.127 / 8


@dataclass(frozen=True)
class PerParameter:
    """Bytes for each parameter that is trained."""

    weights: float
    gradients_low: float
    gradients: float
    optimizer: float


def per_parameter(recipe: dict[str, Any]) -> PerParameter:
    precision, optimizer = recipe["precision"], recipe["optimizer"]
    state = 1 if optimizer == "adamw_8bit" else STATE_BYTES[precision]
    kept = 0 if recipe["optimizer_in_backward"] else 1
    return PerParameter(
        WEIGHTS[precision],
        GRADIENTS_LOW[precision] * kept,
        GRADIENTS[precision] * kept,
        MASTER[precision] + STATES[optimizer] * state,
    )


def adapter_parameters(recipe: dict[str, Any]) -> int:
    """Parameters of LoRA adapters on all linear layers: rank x (inputs + outputs) of each.

    Queries and outputs are hidden x heads·head_size, keys and values hidden x kv_heads·head_size, and the feed-forward
    block has three matrices (gated).
    """
    model = recipe["model"]
    hidden, size = model["hidden"], model["head_size"]
    attention = 2 * (hidden + model["heads"] * size) + 2 * (hidden + model["kv_heads"] * size)
    feed_forward = 3 * (hidden + model["feed_forward"])
    return int(recipe["lora_rank"] * model["layers"] * (attention + feed_forward))


def frozen_bytes(recipe: dict[str, Any]) -> float:
    """Bytes of the weights that LoRA leaves as they are; QLoRA keeps embeddings in 16 bits."""
    model = recipe["model"]
    if recipe["method"] == "lora":
        return float(model["parameters"] * WEIGHTS[recipe["precision"]])
    embedding = model["vocabulary"] * model["hidden"]
    return float((model["parameters"] - embedding) * NF4_BYTES + embedding * 2)


def states(recipe: dict[str, Any]) -> dict[str, Estimate]:
    """Bytes on one GPU of weights, gradients and optimizer."""
    method = recipe.get("method", "full")
    trained = recipe["model"]["parameters"] if method == "full" else adapter_parameters(recipe)
    each, gpus, sharding = per_parameter(recipe), recipe["gpus"], recipe["sharding"]
    parts = {"none": (1, 1, 1), "zero1": (1, 1, gpus), "zero2": (1, gpus, gpus), "zero3": (gpus, gpus, gpus)}
    of_weights, of_gradients, of_optimizer = parts[sharding]
    offload = recipe["offload"]
    count = billions(trained)

    frozen = 0.0 if method == "full" else frozen_bytes(recipe)
    weights = (frozen + trained * each.weights) / of_weights
    text = f"{count} x {each.weights:g} B / {of_weights}"
    if frozen:
        text = f"(frozen {gib(frozen)} + adapters {count} x {each.weights:g} B) / {of_weights}"
    if offload == "all":
        weights, text = 0.0, "on the host"
    if sharding == "zero3":
        # What is being computed with is gathered whole, in 16 bits, and its gradient beside it.
        gathered = recipe["model"]["largest_layer_parameters"] * 4
        weights, text = weights + gathered, f"{text} + gathered layer {gib(gathered)}"

    low, expected = (trained * value / of_gradients for value in (each.gradients_low, each.gradients))
    # Under zero2, DeepSpeed counts one more copy of 16-bit gradients: they are whole until they are reduced.
    high = expected + (trained * 2 if sharding == "zero2" and each.gradients else 0)
    moved = offload == "all" or (offload == "optimizer" and sharding in ("zero2", "zero3"))
    optimizer = trained * each.optimizer / of_optimizer
    return {
        "weights": Estimate(weights, weights, weights, text, SOURCE),
        "gradients": Estimate(0, 0, 0, "on the host", SOURCE)
        if moved
        else Estimate(low, expected, high, f"{count} x {each.gradients:g} B / {of_gradients}", SOURCE),
        "optimizer": Estimate(0, 0, 0, "on the host", SOURCE)
        if offload != "none"
        else Estimate(optimizer, optimizer, optimizer, f"{count} x {each.optimizer:g} B / {of_optimizer}", SOURCE),
    }


def offloaded_bytes(recipe: dict[str, Any]) -> float:
    """Bytes of all GPUs' states that lie in the memory of the hosts instead."""
    method = recipe.get("method", "full")
    trained = recipe["model"]["parameters"] if method == "full" else adapter_parameters(recipe)
    each, offload = per_parameter(recipe), recipe["offload"]
    if offload == "none":
        return 0.0
    size = trained * each.optimizer
    if offload == "all" or recipe["sharding"] in ("zero2", "zero3"):
        size += trained * each.gradients
    if offload == "all":
        size += trained * each.weights + (0.0 if method == "full" else frozen_bytes(recipe))
    return size
