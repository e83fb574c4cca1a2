# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of training that grows with the batch: activations and logits; and what the framework itself takes.

Sources: Korthikanti et al., Reducing Activation Recomputation (2022), table 2: 34·s·b·h for a layer, 5·a·s²·b more where
attention scores are stored, 2·s·b·h where only the layer's input is kept. A gated block with a wide feed-forward, measured on
Llama 3, keeps 28 copies of the hidden state in 16 bits: 56·s·b·h.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import GIB, Estimate, gib
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.states import WEIGHTS

# The sizes are for 16 bits.
BITS_16 = 2
SOURCE = "Korthikanti et al. 2022, table 2; 28 hidden states for a gated block measured on Llama 3"
LEAN_LAYER = 34
GATED_LAYER = 56
CHUNKS = 8

# CUDA context and libraries: 0.47 to 0.92 GiB with torch 2.1, 1.78 with 1.10; NCCL's buffers come on top.
CONTEXT_GIB = (0.5, 0.9, 1.8)
NCCL_GIB = (0.5, 1.0, 2.0)


def activations(recipe: dict[str, Any]) -> Estimate:
    """Bytes on one GPU that wait for the backward pass."""
    model, kept = recipe["model"], recipe["activation_checkpointing"]
    tokens = recipe["micro_batch"] * recipe["sequence_length"]
    hidden, layers = model["hidden"], model["layers"]
    scores = 0
    if recipe["attention"] == "eager":
        scores = 5 * model["heads"] * recipe["sequence_length"] * tokens
    copies = WEIGHTS[recipe["precision"]] // BITS_16
    scores *= copies
    lean, wide = LEAN_LAYER * copies * tokens * hidden, GATED_LAYER * copies * tokens * hidden
    usual = lean if recipe["compiled"] else wide
    if kept == "full":
        # The inputs of all layers, and one layer whole while it is computed again.
        inputs = layer_inputs(recipe)
        stored = 0 if recipe["activation_offload"] else inputs
        band = (stored + lean + scores, stored + usual + scores, stored + wide + scores)
        kept_text = (
            "inputs of layers on the host"
            if recipe["activation_offload"]
            else f"inputs of {layers} layers {gib(inputs)}"
        )
        text = (
            f"{kept_text}, one layer {usual // (tokens * hidden)} x {tokens} tokens x {hidden} = {gib(usual + scores)}"
        )
    else:
        every = 0 if kept == "selective" else scores
        band = tuple((size + every) * layers for size in (lean, usual, wide))
        text = f"{usual // (tokens * hidden)} x {tokens} tokens x {hidden} x {layers} layers"
        text += f" + scores {gib(every * layers)}" if every else ""
    return Estimate(*band, text, SOURCE)


def layer_inputs(recipe: dict[str, Any]) -> float:
    """Bytes of one GPU's hidden states that checkpointing keeps: one for each layer."""
    model, size = recipe["model"], WEIGHTS[recipe["precision"]]
    return float(size * recipe["micro_batch"] * recipe["sequence_length"] * model["hidden"] * model["layers"])


def offloaded_bytes(recipe: dict[str, Any]) -> float:
    """Bytes of all GPUs' kept activations that lie in the memory of the hosts instead."""
    return layer_inputs(recipe) * recipe["gpus"] if recipe["activation_offload"] else 0.0


def logits(recipe: dict[str, Any]) -> Estimate:
    """Bytes on one GPU of the output over the vocabulary: one fp32 copy, up to three with gradient and softmax."""
    tokens, vocabulary = recipe["micro_batch"] * recipe["sequence_length"], recipe["model"]["vocabulary"]
    chunks = CHUNKS if recipe["chunked_loss"] else 1
    size = 4 * tokens * vocabulary / chunks
    text = f"4 B x {tokens} tokens x {vocabulary}" + (f" / {chunks} chunks" if chunks > 1 else "")
    return Estimate(size, size, 3 * size, text, SOURCE)


def framework(gpus: int) -> Estimate:
    """Bytes on one GPU that no tensor accounts for."""
    low, expected, high = ((one + (more if gpus > 1 else 0)) * GIB for one, more in zip(CONTEXT_GIB, NCCL_GIB))
    text = "CUDA context" + (" and NCCL buffers" if gpus > 1 else "")
    return Estimate(low, expected, high, text, "measured with torch 1.10 to 2.1")
