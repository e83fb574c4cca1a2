# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of serving a language model: weights, the cache of keys and values, and what a step needs.

The cache takes 2 (keys, values) x attention layers x KV heads x head size x bytes for each token. Only layers with attention
count, and KV heads, not query heads. A layer with a sliding window keeps min(tokens, window) of each request; requests of the same
length keep the most, so that is what is computed. Source: Kwon et al., PagedAttention (2023), section 3; checked with the block counts that
a server printed (Llama 3 8B on 40 GB: 91,056 tokens in 11.12 GiB).
"""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import (
    GIB,
    Estimate,
    billions,
    exactly,
    gib,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.storage import RESERVE, RESERVE_SOURCE

SOURCE = "PagedAttention (Kwon et al. 2023), section 3"
# Peak of one step and memory outside of tensors. 9.37 GiB was measured for a step of 8,192 tokens whose logits were all kept.
STEP_GIB = (0.5, 2.0, 9.4)
OUTSIDE_GIB = (0.1, 0.5, 1.8)


def kv_bytes_per_token(recipe: dict[str, Any]) -> float:
    """Bytes of one token in one layer."""
    model = recipe["model"]
    return float(2 * model["kv_heads"] * model["head_size"] * recipe["kv_cache_bits"] / 8)


def weights(recipe: dict[str, Any]) -> Estimate:
    """Bytes of all GPUs together."""
    size = recipe["model"]["parameters"] * recipe["weight_bits"] / 8
    # Scales and zero points of quantized blocks: 0 to 6 % (MXFP4 has 0.53125 bytes for 0.5).
    more = 1.0625 if recipe["weight_bits"] < 16 else 1.0
    text = f"{billions(recipe['model']['parameters'])} x {recipe['weight_bits'] / 8:g} B"
    return Estimate(size, size, size * more, text, SOURCE)


def kv_cache(recipe: dict[str, Any]) -> Estimate:
    """Bytes of all GPUs together."""
    model, each, tokens = recipe["model"], kv_bytes_per_token(recipe), recipe["concurrent_tokens"]
    sliding, window, requests = model["sliding_layers"], model["sliding_window"], recipe["concurrent_requests"]
    full = model["attention_layers"] - sliding
    size = each * full * tokens
    one = f"2 x {model['kv_heads']} KV heads x {model['head_size']} x {recipe['kv_cache_bits'] / 8:g} B"
    text = f"{one} x {full} layers x {tokens} tokens"
    if sliding:
        kept = requests * min(tokens / requests, window)
        size += each * sliding * kept
        text += f" + {one} x {sliding} layers x {requests} requests x {kept / requests:g} tokens"
    return exactly(size, text, SOURCE)


def step() -> Estimate:
    low, expected, high = (one * GIB for one in STEP_GIB)
    return Estimate(low, expected, high, "peak of one step", "0.5 to 9.4 GiB measured, by batch and vocabulary")


def outside() -> Estimate:
    low, expected, high = (one * GIB for one in OUTSIDE_GIB)
    return Estimate(low, expected, high, "memory outside of tensors", "0.1 to 1.8 GiB measured")


def host_memory(size: Estimate) -> Estimate:
    """Bytes of the host's memory; `size`: the weights."""
    return Estimate(
        size.low, size.expected + 4 * GIB, 2 * size.high + 16 * GIB, "weights while loading + 4 GiB", "estimate"
    )


def storage(size: Estimate) -> Estimate:
    """Bytes of storage; `size`: the weights. High is room for two versions, so that one can follow the other."""
    text = f"weights {gib(size.expected)} x {RESERVE}"
    return Estimate(size.low, size.expected * RESERVE, size.high * RESERVE * 2, text, RESERVE_SOURCE)
