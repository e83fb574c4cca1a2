# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model states of training: weights, gradients and optimizer, how many bytes each parameter takes, and where they lie.

Sources: Rajbhandari et al., ZeRO (2020), section 3; the DeepSpeed documentation, "Memory Requirements"; Dettmers et al.,
QLoRA (2023), section 3; Dettmers et al., LLM.int8() (2022); Hu et al., LoRA (2021), section 4; the documentation of PyTorch's FSDP
(backward prefetch) and of DeepSpeed in Hugging Face Transformers (overlap_comm) for the buffers.
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
FROZEN_BYTES = {4: 4.127 / 8, 8: 1.0}
# DeepSpeed's own defaults: a bucket of 5e8 elements, 4.5 times twice while communication overlaps; 1e9 live parameters (zero3).
BUCKET_ELEMENTS, BUCKET_COPIES = 5e8, 9
LIVE_ELEMENTS = 1e9


@dataclass(frozen=True)
class PerParameter:
    """Bytes for each parameter that is trained."""

    weights: float
    gradients_low: float
    gradients: float
    optimizer: float


def trained_parameters(recipe: dict[str, Any]) -> float:
    """How many parameters the optimizer changes."""
    return float(
        recipe["model"]["parameters"] if recipe.get("method", "full") == "full" else adapter_parameters(recipe)
    )


def embeddings(recipe: dict[str, Any]) -> int:
    """Parameters of the input's embedding and of the output, which are one where they are tied."""
    model = recipe["model"]
    return int(model["vocabulary"] * model["hidden"] * (1 if model["tied_embeddings"] else 2))


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
    """Bytes of the weights that LoRA leaves as they are; QLoRA keeps embeddings and the output in 16 bits."""
    count, method = recipe["model"]["parameters"], recipe.get("method", "full")
    if method == "full":
        return 0.0
    if method == "lora":
        return float(count * WEIGHTS[recipe["precision"]])
    whole = min(embeddings(recipe), count)
    return float((count - whole) * FROZEN_BYTES[recipe["frozen_bits"]] + whole * 2)


def optimizer_bytes(recipe: dict[str, Any]) -> tuple[float, float]:
    """Return what the optimizer keeps: the least, and what is expected.

    8-bit optimizers leave the embedding's states in 32 bits where they are used as bitsandbytes advises. Two measured runs of 8-bit
    AdamW (D15, D17 in docs/sizing-accuracy.md) took 26 and 15 % more than they need without. That this is why is inferred, not read.
    """
    size = trained_parameters(recipe) * per_parameter(recipe).optimizer
    more = 0.0
    if recipe["optimizer"] == "adamw_8bit" and recipe.get("method", "full") == "full":
        more = recipe["model"]["vocabulary"] * recipe["model"]["hidden"] * 6
    return size, size + more


def states(recipe: dict[str, Any]) -> dict[str, Estimate]:
    """Bytes on one GPU of weights, gradients, optimizer, and of the buffers that sharding takes."""
    trained, frozen = trained_parameters(recipe), frozen_bytes(recipe)
    each, gpus, sharding, offload = per_parameter(recipe), recipe["gpus"], recipe["sharding"], recipe["offload"]
    parts = {"none": (1, 1, 1), "zero1": (1, 1, gpus), "zero2": (1, gpus, gpus), "zero3": (gpus, gpus, gpus)}
    of_weights, of_gradients, of_optimizer = parts[sharding]
    count = billions(trained)
    moved = _gradients_moved(recipe)

    weights = (frozen + trained * each.weights) / of_weights
    text = f"{count} x {each.weights:g} B / {of_weights}"
    if frozen:
        text = f"(frozen {gib(frozen)} + adapters {count} x {each.weights:g} B) / {of_weights}"
    if offload == "all":
        weights, text = 0.0, "on the host"
    if sharding == "zero3":
        # What is being computed with is gathered whole, and its gradient beside it where it has one.
        gathered = recipe["model"]["largest_layer_parameters"] * WEIGHTS[recipe["precision"]] * (1 if frozen else 2)
        weights, text = weights + gathered, f"{text} + gathered layer {gib(gathered)}"

    if recipe["optimizer_in_backward"]:
        # Used up as they come, but one layer's is there at a time.
        layer = 0 if sharding == "zero3" else min(recipe["model"]["largest_layer_parameters"], trained)
        text_of = f"one layer's, {billions(layer)} parameters" if layer else "counted with the gathered layer"
        gradients = Estimate(0, layer * WEIGHTS[recipe["precision"]], layer * 4, text_of, SOURCE)
    elif moved:
        gradients = Estimate(0, 0, 0, "on the host", SOURCE)
    else:
        low, expected = (trained * value / of_gradients for value in (each.gradients_low, each.gradients))
        # Under zero2, DeepSpeed counts one more copy of 16-bit gradients: they are whole until they are reduced.
        high = expected + (trained * 2 if sharding == "zero2" else 0)
        gradients = Estimate(low, expected, high, f"{count} x {each.gradients:g} B / {of_gradients}", SOURCE)

    optimizer = Estimate(0, 0, 0, "on the host", SOURCE)
    if offload == "none":
        least, usual = (size / of_optimizer for size in optimizer_bytes(recipe))
        text_of = f"{count} x {each.optimizer:g} B / {of_optimizer}"
        if usual > least:
            text_of += f" + embedding's states in 32 bits {gib(usual - least)}"
        optimizer = Estimate(least, usual, usual, text_of, SOURCE)
    return {
        "weights": Estimate(weights, weights, weights, text, SOURCE),
        "gradients": gradients,
        "optimizer": optimizer,
        "buffers": buffers(recipe),
    }


def buffers(recipe: dict[str, Any]) -> Estimate:
    """Bytes on one GPU that communication takes beside the states.

    Expected is what FSDP holds under zero3: the next layer's weights, which are fetched while a layer is computed. High is what
    DeepSpeed takes with its own defaults, which many configurations lower.
    """
    model, sharding, size = recipe["model"], recipe["sharding"], WEIGHTS[recipe["precision"]]
    if sharding not in ("zero2", "zero3"):
        return Estimate(0, 0, 0, "nothing is sharded that is gathered", SOURCE)
    high, expected, text = BUCKET_ELEMENTS * BUCKET_COPIES * size, 0.0, "buckets as small as they can be"
    if sharding == "zero3":
        frozen = frozen_bytes(recipe) or model["parameters"] * size
        expected = frozen / model["layers"] if model["layers"] > 1 else 0.0
        high += max(min(LIVE_ELEMENTS, model["parameters"]) * size, expected)
        text = f"next layer {gib(frozen)} / {model['layers']}"
    return Estimate(
        0, expected, high, text, "PyTorch FSDP, backward prefetch; high: DeepSpeed's default buckets with overlap_comm"
    )


def _gradients_moved(recipe: dict[str, Any]) -> bool:
    """Whether gradients lie with the optimizer on the host."""
    return bool(
        recipe["offload"] == "all" or (recipe["offload"] == "optimizer" and recipe["sharding"] in ("zero2", "zero3"))
    )


def offloaded_bytes(recipe: dict[str, Any]) -> float:
    """Bytes of all GPUs' states that lie in the memory of the hosts instead."""
    if recipe["offload"] == "none":
        return 0.0
    trained, each = trained_parameters(recipe), per_parameter(recipe)
    # Without sharding, each process has all of them.
    copies = recipe["gpus"] if recipe["sharding"] == "none" else 1
    size = optimizer_bytes(recipe)[1] * copies
    if _gradients_moved(recipe):
        size += trained * each.gradients
    if recipe["offload"] == "all":
        size += trained * each.weights + frozen_bytes(recipe)
    return size
