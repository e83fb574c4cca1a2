"""Published and measured figures of real models, and the recipes that they are held against.

One row is one figure. `quantities` are requirements of ours that are added up; `end` is the end of our band that is compared:
estimates that were made with a known margin are held against the end that has it. `rule`:

    formula   the figure is exact, or follows from the same formula: our value lies within 2 % of it
    recipe    the recipe is known: our value lies within 15 % of the figure
    band      the recipe is not fully known: the figure lies in our band, to the digits that it is published with
    at least  the figure is a bound: our value is more
    at most   the figure is a bound: our value is less
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WITHIN = {"formula": 0.02, "recipe": 0.15}
BYTES_OF = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "MiB": 2**20,
    "GB": 10**9,
    "GiB": 2**30,
    "TB": 10**12,
    "TiB": 2**40,
    "GB/s": 10**9,
}
STATES = ("gpu_weights_bytes_per_gpu", "gpu_gradients_bytes_per_gpu", "gpu_optimizer_bytes_per_gpu")
TENSORS = ("gpu_tensor_bytes_per_gpu",)
GPU = ("gpu_memory_bytes_per_gpu",)
HOST = ("host_offloaded_bytes", "host_processes_bytes")
CACHE = ("kv_cache_bytes",)
CHECKPOINT = ("checkpoint_bytes",)


@dataclass(frozen=True)
class Point:
    """A published figure. `amount` is in `unit`, which is what the figure really is in, whatever its source writes."""

    id: str
    what: str
    amount: float
    unit: str
    quantities: tuple[str, ...]
    workload: dict[str, Any]
    source: str
    measured: bool = False
    rule: str = "recipe"
    end: str = "expected"
    note: str = ""


@dataclass(frozen=True)
class Wrong:
    """A figure that is published and wrong: ours is `right`."""

    what: str
    wrong: float
    right: float
    unit: str
    quantities: tuple[str, ...]
    workload: dict[str, Any]
    why: str
    source: str


@dataclass(frozen=True)
class NotModelled:
    """A published figure that no formula of ours speaks to, and why."""

    id: str
    what: str
    why: str
    source: str


def parameters(layers: int, hidden: int, feed_forward: int, heads: int, kv_heads: int, vocabulary: int) -> float:
    """Count of a Llama: two embeddings, four matrices of attention and three of the gated block in each layer."""
    attention = 2 * hidden * hidden * (1 + kv_heads / heads)
    return layers * (attention + 3 * hidden * feed_forward) + 2 * vocabulary * hidden


def model(count: float, layers: int, hidden: int, heads: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "parameters": count,
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
        "vocabulary": vocabulary,
        **more,
    }


LLAMA_3B = model(3.213e9, 28, 3072, 24, 128256, kv_heads=8, head_size=128, feed_forward=8192, tied_embeddings=True)
LLAMA_8B = model(8.030e9, 32, 4096, 32, 128256, kv_heads=8, feed_forward=14336)
LLAMA_70B = model(70.55e9, 80, 8192, 64, 128256, kv_heads=8, feed_forward=28672)
LLAMA_405B = model(405.85e9, 126, 16384, 128, 128256, kv_heads=8, feed_forward=53248)
LLAMA1_65B = model(65.29e9, 80, 8192, 64, 32000, feed_forward=22016)
LLAMA2_7B = model(6.738e9, 32, 4096, 32, 32000, feed_forward=11008)
T5_3B = model(2.851e9, 48, 1024, 32, 32128, head_size=128, largest_layer_parameters=32e6)
T5_LARGE = model(737.67e6, 48, 1024, 16, 32128, largest_layer_parameters=32.9e6)
T0_3B = model(2.85e9, 48, 2048, 32, 32128, feed_forward=5120)
MT0_XXL = model(12.92e9, 48, 4096, 64, 250112, feed_forward=10240)
BLOOMZ_7B = model(7.07e9, 30, 4096, 32, 250880, tied_embeddings=True)
BLOOM_176B = model(176.25e9, 70, 14336, 112, 250880, tied_embeddings=True)
# States only: its shape does not matter.
ZERO_7B = model(7.5e9, 1, 64, 1, 1, largest_layer_parameters=1)
GEMMA3_27B = model(27.4e9, 62, 5376, 32, 262208, kv_heads=16, head_size=128, tied_embeddings=True)
HYBRID = model(27e9, 64, 5120, 40, 150000, kv_heads=8, head_size=128)
MLPERF_70B = model(parameters(80, 8192, 28672, 64, 8, 128256), 80, 8192, 64, 128256, kv_heads=8, feed_forward=28672)
MLPERF_1T = model(
    parameters(128, 25872, 98304, 192, 32, 128256),
    128,
    25872,
    192,
    128256,
    kv_heads=32,
    head_size=134,
    feed_forward=98304,
)


def serve(of: dict[str, Any], tokens: int, **more: Any) -> dict[str, Any]:
    return {"task": "serve", "model": of, "concurrent_tokens": tokens, **more}


def pretrain(of: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"task": "pretrain", "model": of, **more}


def tune(of: dict[str, Any], method: str = "full", **more: Any) -> dict[str, Any]:
    return {"task": "finetune", "method": method, "precision": "bf16", "model": of, **more}


HF = "Hugging Face blog, Llama 3.1"
BEKMAN = "Bekman, Machine Learning Engineering"
DEEPSPEED = "DeepSpeed documentation, Memory Requirements"
TORCHTUNE = "torchtune README"
PEFT = "PEFT README"
FACTORY = "LLaMA-Factory README"
ZERO = "Rajbhandari et al., ZeRO (2020), figure 1"
VLLM = "vLLM issue 12330, log of a server"
MLPERF = "MLPerf Storage, submission guidelines"

# torchtune's measurements of a 3B model, one option after the other.
PACKED: dict[str, Any] = {"sequence_length": 4096, "micro_batch": 2}
COMPILED: dict[str, Any] = {**PACKED, "compiled": True}
CHUNKED: dict[str, Any] = {**COMPILED, "chunked_loss": True}
IN_BACKWARD: dict[str, Any] = {**CHUNKED, "optimizer_in_backward": True}
MOVED: dict[str, Any] = {**IN_BACKWARD, "activation_offload": True}
# Its measurements of Llama 3.1: batch 2, packed to 2,048 tokens, compiled; the loss in chunks.
PACKED_2K: dict[str, Any] = {"sequence_length": 2048, "micro_batch": 2, "compiled": True, "chunked_loss": True}
LEAN_8B: dict[str, Any] = {**PACKED_2K, "optimizer": "adamw_8bit", "optimizer_in_backward": True}
# PEFT's runs: fp32, rank 8, short texts. A batch of 8, and 32 tokens on the average of encoder and decoder, are assumed.
SHORT: dict[str, Any] = {
    "precision": "fp32",
    "micro_batch": 8,
    "sequence_length": 32,
    "activation_checkpointing": "none",
}
SHORT_LORA: dict[str, Any] = {**SHORT, "lora_rank": 8}
OFFLOADED: dict[str, Any] = {**SHORT_LORA, "sharding": "zero3", "offload": "all"}
ASSUMED = "batch and length are assumed"
LONG: dict[str, Any] = {
    "method": "full",
    "precision": "mixed",
    "gpus": 8,
    "sharding": "zero3",
    "offload": "optimizer",
    "chunked_loss": True,
}
THUMB: dict[str, Any] = {"sequence_length": 2048}
ZERO_64: dict[str, Any] = {"gpus": 64}
T5_8: dict[str, Any] = {"gpus": 8}
IN_PARTS: dict[str, Any] = {"micro_batch": 1, "sequence_length": 32768}
INIT = "held against the high end: DeepSpeed's figure has a buffer of 1.5"
HALF_GRADIENTS = "held against the low end: 16-bit gradients"

POINTS = [
    Point(
        "D1",
        "Llama 3.1 8B, KV cache, 16,000 tokens, fp16",
        1.95,
        "GiB",
        CACHE,
        serve(LLAMA_8B, 16_000),
        HF,
        rule="formula",
    ),
    Point(
        "D1",
        "Llama 3.1 70B, KV cache, 16,000 tokens, fp16",
        4.88,
        "GiB",
        CACHE,
        serve(LLAMA_70B, 16_000),
        HF,
        rule="formula",
    ),
    Point(
        "D2",
        "Llama 3.1 8B, KV cache, 128,000 tokens",
        15.62,
        "GiB",
        CACHE,
        serve(LLAMA_8B, 128_000),
        HF,
        rule="formula",
    ),
    Point(
        "D2",
        "Llama 3.1 70B, KV cache, 128,000 tokens",
        39.06,
        "GiB",
        CACHE,
        serve(LLAMA_70B, 128_000),
        HF,
        rule="formula",
    ),
    Point(
        "D3",
        "Llama 3.1 8B, KV cache of one token",
        131,
        "kB",
        CACHE,
        serve(LLAMA_8B, 1),
        f"{BEKMAN}, inference",
        rule="formula",
    ),
    Point(
        "D3",
        "Llama 3.1 8B, KV cache, 128 requests of 1,024 tokens",
        17.2,
        "GB",
        CACHE,
        serve(LLAMA_8B, 128 * 1024),
        f"{BEKMAN}, inference",
        rule="formula",
    ),
    Point(
        "D4",
        "Llama 3.1 8B, weights, fp16",
        16,
        "GB",
        ("weights_bytes",),
        serve(LLAMA_8B, 1),
        HF,
        rule="formula",
    ),
    Point(
        "D4",
        "Llama 3.1 70B, weights, fp16",
        140,
        "GB",
        ("weights_bytes",),
        serve(LLAMA_70B, 1),
        HF,
        rule="formula",
    ),
    Point(
        "D4",
        "Llama 3.1 405B, weights, fp16",
        810,
        "GB",
        ("weights_bytes",),
        serve(LLAMA_405B, 1),
        HF,
        rule="formula",
    ),
    Point(
        "D5",
        "Llama 3 8B served on an A100 of 40 GB, weights",
        14.96,
        "GiB",
        ("weights_bytes",),
        serve(LLAMA_8B, 91_056),
        VLLM,
        measured=True,
        rule="formula",
    ),
    Point(
        "D5",
        "the same, KV cache of 5,691 blocks of 16 tokens",
        11.12,
        "GiB",
        CACHE,
        serve(LLAMA_8B, 91_056),
        VLLM,
        measured=True,
        rule="formula",
    ),
    Point(
        "D5",
        "the same, all memory",
        39.50,
        "GiB",
        GPU,
        serve(LLAMA_8B, 91_056),
        VLLM,
        measured=True,
        rule="band",
        note="the step took 9.37 GiB, which is the most that is known",
    ),
    Point(
        "D6",
        "T5 3B, ZeRO-2, 8 GPUs, states on a GPU",
        15.93,
        "GiB",
        STATES,
        pretrain(T5_3B, **T5_8, sharding="zero2"),
        DEEPSPEED,
        end="high",
        note="held against the high end: gradients whole until they are reduced",
        rule="formula",
    ),
    Point(
        "D6",
        "the same, optimizer on the host",
        5.31,
        "GiB",
        STATES,
        pretrain(T5_3B, **T5_8, sharding="zero2", offload="optimizer"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D6",
        "the same, memory of the host",
        127.45,
        "GiB",
        ("host_loading_bytes",),
        pretrain(T5_3B, **T5_8, sharding="zero2", offload="optimizer", loading="whole"),
        DEEPSPEED,
        end="high",
        note=INIT,
        rule="formula",
    ),
    Point(
        "D7",
        "T5 3B, ZeRO-3, 8 GPUs, states on a GPU",
        6.09,
        "GiB",
        STATES,
        pretrain(T5_3B, **T5_8, sharding="zero3"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D7",
        "the same, optimizer on the host",
        0.78,
        "GiB",
        STATES,
        pretrain(T5_3B, **T5_8, sharding="zero3", offload="optimizer"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D7",
        "the same, all states on the host",
        0.12,
        "GiB",
        STATES,
        pretrain(T5_3B, **T5_8, sharding="zero3", offload="all"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D8",
        "T5 3B, ZeRO-3, 8 GPUs, host, all states offloaded",
        71.69,
        "GiB",
        ("host_offloaded_bytes",),
        pretrain(T5_3B, **T5_8, sharding="zero3", offload="all"),
        DEEPSPEED,
        end="high",
        note=INIT,
        rule="formula",
    ),
    Point(
        "D8",
        "the same, optimizer offloaded",
        63.72,
        "GiB",
        ("host_offloaded_bytes",),
        pretrain(T5_3B, **T5_8, sharding="zero3", offload="optimizer"),
        DEEPSPEED,
        end="high",
        note=INIT,
        rule="formula",
    ),
    Point(
        "D8",
        "the same, nothing offloaded, loaded by layers",
        1.43,
        "GiB",
        ("host_loading_bytes",),
        pretrain(T5_3B, **T5_8, sharding="zero3"),
        DEEPSPEED,
        end="high",
        note=INIT,
        rule="formula",
    ),
    Point(
        "D9",
        "T5 large, ZeRO-3, 4 GPUs, states on a GPU",
        3291,
        "MiB",
        STATES,
        pretrain(T5_LARGE, gpus=4, sharding="zero3"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D9",
        "the same, all states on the host",
        125,
        "MiB",
        STATES,
        pretrain(T5_LARGE, gpus=4, sharding="zero3", offload="all"),
        DEEPSPEED,
        rule="formula",
    ),
    Point(
        "D9",
        "the same, optimizer on the host",
        477,
        "MiB",
        STATES,
        pretrain(T5_LARGE, gpus=4, sharding="zero3", offload="optimizer"),
        DEEPSPEED,
        rule="formula",
    ),
    *(
        Point(
            "D10",
            f"7.5e9 parameters, 64 GPUs, {sharding}, states on a GPU",
            amount,
            "GB",
            STATES,
            pretrain(ZERO_7B, **ZERO_64, sharding=sharding),
            ZERO,
            end="low",
            note=HALF_GRADIENTS,
            rule="formula",
        )
        for sharding, amount in (("none", 120), ("zero1", 31.4), ("zero2", 16.6), ("zero3", 1.9))
    ),
    Point(
        "D11",
        "Llama 3.2 3B, full, bf16, batch 2, not packed",
        25.5,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, micro_batch=2, sequence_length=256, activation_checkpointing="none"),
        TORCHTUNE,
        measured=True,
        rule="band",
        note="length of samples is assumed: 256",
    ),
    Point(
        "D12",
        "the same, packed to 4,096 tokens",
        60.0,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **PACKED, activation_checkpointing="none"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D13",
        "the same, compiled",
        51.0,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **COMPILED, activation_checkpointing="none"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D13",
        "the same, and loss in chunks",
        42.9,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **CHUNKED, activation_checkpointing="none"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D14",
        "the same, and activation checkpointing",
        24.9,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **CHUNKED),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D15",
        "the same, and optimizer in backward",
        23.1,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **IN_BACKWARD),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D15",
        "the same, and activations offloaded",
        21.8,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **MOVED),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D15",
        "the same, and 8-bit AdamW",
        17.6,
        "GiB",
        TENSORS,
        tune(LLAMA_3B, **MOVED, optimizer="adamw_8bit"),
        TORCHTUNE,
        measured=True,
    ),
    *(
        Point(
            "D16",
            f"Llama 3.2 3B, {method}, packed to 4,096 tokens, all memory options on",
            amount,
            "GiB",
            TENSORS,
            tune(LLAMA_3B, method, **CHUNKED, activation_offload=True, lora_rank=64),
            TORCHTUNE,
            measured=True,
            rule="band",
            note="which options go with adapters is not said",
        )
        for method, amount in (("lora", 8.5), ("qlora", 4.6))
    ),
    Point(
        "D17",
        "Llama 3.1 8B, full, 8-bit AdamW in backward, batch 2 x 2,048",
        37.4,
        "GiB",
        TENSORS,
        tune(LLAMA_8B, **LEAN_8B),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D17",
        "the same on a card of 24 GB, states paged to the host",
        18.9,
        "GiB",
        TENSORS,
        tune(LLAMA_8B, **LEAN_8B, offload="optimizer"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D18",
        "Llama 3.1 8B, LoRA, batch 2 x 2,048, no checkpointing",
        30.3,
        "GiB",
        TENSORS,
        tune(LLAMA_8B, "lora", **PACKED_2K, activation_checkpointing="none"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D18",
        "the same, checkpointing",
        16.2,
        "GiB",
        TENSORS,
        tune(LLAMA_8B, "lora", **PACKED_2K),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D18",
        "Llama 3.1 8B, QLoRA, the same",
        7.4,
        "GiB",
        TENSORS,
        tune(LLAMA_8B, "qlora", **PACKED_2K),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D19",
        "Llama 3.1 70B, full, 8 GPUs, all states on the host",
        13.9,
        "GiB",
        TENSORS,
        tune(LLAMA_70B, **PACKED_2K, gpus=8, sharding="zero3", offload="all"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D19",
        "Llama 3.1 70B, LoRA, 8 GPUs",
        27.6,
        "GiB",
        TENSORS,
        tune(LLAMA_70B, "lora", **PACKED_2K, gpus=8, sharding="zero3"),
        TORCHTUNE,
        measured=True,
    ),
    Point(
        "D19",
        "Llama 3.1 405B, QLoRA, 8 GPUs",
        44.8,
        "GB",
        TENSORS,
        tune(LLAMA_405B, "qlora", **{**PACKED_2K, "micro_batch": 1}, gpus=8, sharding="zero3"),
        TORCHTUNE,
        measured=True,
        rule="band",
        note="its recipe has batch 1, its table says 2",
    ),
    Point(
        "D20",
        "T0 3B, full, fp32",
        47.14,
        "GB",
        TENSORS,
        tune(T0_3B, **SHORT),
        PEFT,
        measured=True,
        rule="band",
        note=ASSUMED,
    ),
    *(
        Point(
            number,
            f"{name}, LoRA, fp32",
            amount,
            "GB",
            TENSORS,
            tune(of, "lora", **SHORT_LORA),
            PEFT,
            measured=True,
            rule="band",
            note=ASSUMED,
        )
        for number, name, of, amount in (
            ("D20", "T0 3B", T0_3B, 14.4),
            ("D21", "mT0 xxl", MT0_XXL, 56),
            ("D21", "BLOOMZ 7B", BLOOMZ_7B, 32),
        )
    ),
    *(
        Point(
            number,
            f"{name}, LoRA, fp32, ZeRO-3 offload, {where}",
            amount,
            "GB",
            quantities,
            tune(of, "lora", **OFFLOADED),
            PEFT,
            measured=True,
            rule="band",
            note=ASSUMED,
        )
        for number, name, of, gpu, host in (
            ("D20", "T0 3B", T0_3B, 9.8, 17.8),
            ("D21", "mT0 xxl", MT0_XXL, 22, 52),
            ("D21", "BLOOMZ 7B", BLOOMZ_7B, 18.1, 35),
        )
        for where, quantities, amount in (("GPU", TENSORS, gpu), ("host", HOST, host))
    ),
    Point(
        "D21",
        "mT0 xxl, full, fp32: out of memory on a card of 80 GB",
        80,
        "GiB",
        TENSORS,
        tune(MT0_XXL, **SHORT),
        PEFT,
        measured=True,
        rule="at least",
    ),
    *(
        Point(
            "D22",
            f"Llama 3.1 8B, ZeRO-3, 8 GPUs, AdamW on the host, checkpointing, {tokens} tokens",
            amount,
            "GiB",
            TENSORS,
            {"task": "finetune", "model": LLAMA_8B, **LONG, "sequence_length": tokens},
            f"{BEKMAN}, when to upgrade GPUs",
            measured=True,
            rule="band",
            note="sizes of DeepSpeed's buckets are not said",
        )
        for tokens, amount in ((8192, 16.3), (32768, 25.8), (65536, 37.5), (131072, 66.5), (262144, 124.5))
    ),
    Point(
        "D23",
        "Llama 3 8B, 32,768 tokens, checkpoints and one layer",
        7 + 8,
        "GiB",
        ("gpu_activations_bytes_per_gpu",),
        pretrain(LLAMA_8B, **IN_PARTS),
        f"{BEKMAN}, training performance",
        rule="formula",
    ),
    Point(
        "D23",
        "the same, logits",
        15.7,
        "GiB",
        ("gpu_logits_bytes_per_gpu",),
        pretrain(LLAMA_8B, **IN_PARTS),
        f"{BEKMAN}, training performance",
        rule="formula",
    ),
    Point(
        "D23",
        "the same, both, no checkpointing",
        240,
        "GiB",
        ("gpu_activations_bytes_per_gpu", "gpu_logits_bytes_per_gpu"),
        pretrain(LLAMA_8B, **IN_PARTS, activation_checkpointing="none"),
        f"{BEKMAN}, training performance",
        rule="formula",
    ),
    Point(
        "D24",
        "Llama 3.1 8B, checkpoint",
        105,
        "GiB",
        CHECKPOINT,
        pretrain(LLAMA_8B),
        MLPERF,
        rule="formula",
    ),
    Point(
        "D24",
        "Llama 3.1 405B, checkpoint",
        5290,
        "GiB",
        CHECKPOINT,
        pretrain(LLAMA_405B),
        MLPERF,
        note="published as 5.29 TB, and is thousands of GiB",
        rule="formula",
    ),
    *(
        Point(
            "D25",
            f"{size}, {name}, rule of thumb",
            amount,
            "GB",
            GPU,
            tune(of, method, **{**THUMB, **more}),
            FACTORY,
            note="2,048 tokens assumed",
        )
        for size, of, amounts in (
            ("7B", LLAMA2_7B, (120, 60, 16, 10, 6)),
            ("70B", LLAMA_70B, (1200, 600, 160, 80, 48)),
        )
        for (name, method, more), amount in zip(
            (
                ("full, mixed", "full", {"precision": "mixed"}),
                ("full, bf16", "full", {}),
                ("LoRA", "lora", {}),
                ("QLoRA, 8 bits", "qlora", {"frozen_bits": 8}),
                ("QLoRA, 4 bits", "qlora", {}),
            ),
            amounts,
        )
    ),
    Point(
        "D26",
        "65B, full: more than",
        780,
        "GB",
        GPU,
        tune(LLAMA1_65B, precision="mixed", sequence_length=512),
        "Dettmers et al., QLoRA (2023), abstract",
        rule="at least",
    ),
    Point(
        "D26",
        "65B, QLoRA: less than",
        48,
        "GB",
        GPU,
        tune(LLAMA1_65B, "qlora", sequence_length=512),
        "Dettmers et al., QLoRA (2023), abstract",
        rule="at most",
    ),
    *(
        Point(
            "D27",
            f"7B, GaLore in 8 bits, batch 16 x 256; ours with {optimizer}",
            22.8,
            "GB",
            TENSORS,
            tune(LLAMA2_7B, micro_batch=16, sequence_length=256, optimizer=optimizer, optimizer_in_backward=True),
            "GaLore README",
            measured=True,
            rule=rule,
            note="GaLore is not an option; it keeps less than 8-bit AdamW and more than nothing",
        )
        for optimizer, rule in (("sgd", "at most"), ("adamw_8bit", "at least"))
    ),
    Point(
        "D29",
        "BLOOM 176B, checkpoint",
        2.3,
        "TB",
        CHECKPOINT,
        pretrain(BLOOM_176B),
        f"{BEKMAN}, storage",
        measured=True,
    ),
    Point(
        "D29",
        "the same, written in 40 s",
        57,
        "GB/s",
        ("checkpoint_write_bytes_per_second",),
        pretrain(BLOOM_176B, checkpoint_stall_seconds=40),
        f"{BEKMAN}, storage",
        measured=True,
    ),
]

NOT_MODELLED = [
    NotModelled(
        "D20, D21",
        "memory of a process with nothing offloaded, 2.96 to 3.8 GB",
        "Measured figures are where our constant for a process comes from, so they prove nothing.",
        PEFT,
    ),
    NotModelled(
        "D28",
        "Stable Diffusion 1.4: 27.5 GB full, 15.5 GB LoRA, 8.12 GB LoRA with checkpointing",
        "Activations of a convolutional U-Net follow no formula of ours; the task `train` takes the measured memory as it is given.",
        PEFT,
    ),
    NotModelled(
        "D30",
        "DGX H100: 8 x 80 GB, 2 x 56 cores, 400 Gb/s; MI300X: 196592 MB",
        "Figures of hardware, not of a workload: facts and classes of GPU have their own tests.",
        "NVIDIA DGX H100 documentation; amd-smi",
    ),
]

COOKBOOK = "EleutherAI cookbook, calc_transformer_mem.py"
WRONG = [
    Wrong(
        "Llama 2 7B, KV cache, 4,096 tokens",
        1.00,
        2.00,
        "GiB",
        CACHE,
        serve(LLAMA2_7B, 4096),
        "counts keys and forgets values",
        COOKBOOK,
    ),
    Wrong(
        "Llama 3.1 8B, KV cache, 128,000 tokens",
        31.25,
        15.625,
        "GiB",
        CACHE,
        serve(LLAMA_8B, 128_000),
        "ignores that there are fewer KV heads than heads",
        COOKBOOK,
    ),
    Wrong(
        "Llama 3.1 8B, 8,192 tokens, activations with full checkpointing",
        34,
        3.75,
        "GiB",
        ("gpu_activations_bytes_per_gpu",),
        pretrain(LLAMA_8B, sequence_length=8192),
        "is what selective recomputation keeps; full keeps the inputs of layers, and one layer",
        COOKBOOK,
    ),
    *(
        Wrong(
            f"Llama 3.1 405B, KV cache, {tokens:,} tokens",
            wrong,
            tokens * 516_096 / 2**30,
            "GiB",
            CACHE,
            serve(LLAMA_405B, tokens),
            "is twice the model's 126 layers x 8 KV heads x 128",
            HF,
        )
        for tokens, wrong in ((1_024, 0.984), (16_000, 15.38), (128_000, 123.05))
    ),
    Wrong(
        "Llama 3.1 70B, full, 16 bits, states",
        300,
        564.4,
        "GB",
        STATES,
        tune(LLAMA_70B),
        "leaves no room for AdamW: 8 bytes for a parameter are the least",
        HF,
    ),
    Wrong(
        "Llama 3.1 70B, checkpoint",
        912,
        919.9,
        "GiB",
        CHECKPOINT,
        pretrain(MLPERF_70B),
        "follows from a table that says 128 heads; the model has 64",
        MLPERF,
    ),
    Wrong(
        "1T model of the benchmark, checkpoint",
        18e12 / 2**40,
        15.065,
        "TiB",
        CHECKPOINT,
        pretrain(MLPERF_1T),
        "does not follow from its own shape",
        MLPERF,
    ),
    Wrong(
        "hybrid model, attention in 16 of 64 layers, KV cache, 32,768 tokens",
        8,
        2,
        "GiB",
        CACHE,
        serve({**HYBRID, "attention_layers": 16}, 32_768),
        "counts all layers",
        "omlx issue 2725, configiq issue 112",
    ),
    Wrong(
        "Gemma 3 27B, window of 1,024 tokens in 52 of 62 layers, KV cache, 32,768 tokens",
        15.5,
        10 * 0.25 + 52 * 0.25 / 32,
        "GiB",
        CACHE,
        serve({**GEMMA3_27B, "sliding_window": 1024, "sliding_layers": 52}, 32_768, concurrent_requests=1),
        "counts what a window drops",
        "lmstudio issue 1862; shape from the Gemma 3 technical report (2025)",
    ),
]
