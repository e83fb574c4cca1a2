# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a workload and of its model: what each may be, and what is taken where it is not given.

`fill()` checks the values of a dictionary against such a table, one by one; `recipe.py` has what keys say together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError, nearest
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.units import BYTES, UNITS

PRETRAIN, FINETUNE, SERVE, TRAIN = TASKS = ("pretrain", "finetune", "serve", "train")
REQUIRED = object()
EXPONENT = re.compile(r"\d+(\.\d*)?[eE]\d{1,2}")
AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]+)")
UNIT_OF_KEYS = {"_gib": "GiB", "_kib": "KiB"}


@dataclass(frozen=True)
class Field:
    """One key: true or false with `flag`; a word of `choices`; else a number from `least` to `most`, whole with `whole`.

    default: the value where the key is not given; `REQUIRED`: it must be; None: derived from others, or not asked for.
    more_than_least: `least` itself is not valid.
    """

    tasks: tuple[str, ...]
    default: Any
    choices: tuple[Any, ...] = ()
    least: float = 0
    most: float = 1e18
    whole: bool = True
    flag: bool = False
    more_than_least: bool = False


GRADIENTS = (PRETRAIN, FINETUNE)
LEARNING = (*GRADIENTS, TRAIN)
# Keys of a workload.
FIELDS: dict[str, Field] = {
    "gpus": Field(TASKS, 1, least=1, most=100_000),
    "method": Field((FINETUNE,), REQUIRED, choices=("full", "lora", "qlora")),
    # mixed: 16-bit weights beside fp32 ones in the optimizer; bf16: 16 bits for all, states included.
    "precision": Field(GRADIENTS, "mixed", choices=("mixed", "bf16", "fp32")),
    "optimizer": Field(GRADIENTS, "adamw", choices=("adamw", "adamw_8bit", "sgd_momentum", "sgd")),
    "optimizer_in_backward": Field(GRADIENTS, False, flag=True),
    "sharding": Field(GRADIENTS, "none", choices=("none", "zero1", "zero2", "zero3")),
    "offload": Field(GRADIENTS, "none", choices=("none", "optimizer", "all")),
    "sequence_length": Field(GRADIENTS, 4096, least=1, most=10**8),
    "micro_batch": Field(GRADIENTS, 1, least=1, most=10**6),
    "activation_checkpointing": Field(GRADIENTS, "full", choices=("none", "selective", "full")),
    "activation_offload": Field(GRADIENTS, False, flag=True),
    "attention": Field(GRADIENTS, "flash", choices=("flash", "eager")),
    "compiled": Field(GRADIENTS, False, flag=True),
    "chunked_loss": Field(GRADIENTS, False, flag=True),
    "lora_rank": Field((FINETUNE,), 16, least=1, most=65536),
    # Of the frozen weights under qlora: NF4 (Dettmers et al. 2023) or LLM.int8 (Dettmers et al. 2022).
    "frozen_bits": Field((FINETUNE,), 4, choices=(4, 8)),
    # How a process gets its weights: the whole model at once, or a layer at a time (DeepSpeed: zero.Init).
    "loading": Field(GRADIENTS, None, choices=("whole", "layers")),
    "weight_bits": Field((SERVE,), 16, least=2, most=32),
    "kv_cache_bits": Field((SERVE,), 16, least=2, most=32),
    "concurrent_tokens": Field((SERVE,), REQUIRED, least=1, most=10**12),
    "concurrent_requests": Field((SERVE,), None, least=1, most=10**9),
    "memory_utilization": Field((SERVE,), 0.9, least=0.1, most=1, whole=False),
    # Measured by the user: classic training has no formula that fits all models.
    "gpu_memory_gib": Field((TRAIN,), REQUIRED, most=10**4, whole=False, more_than_least=True),
    "dataset_gib": Field(LEARNING, None, most=10**9, whole=False, more_than_least=True),
    "dataset_tokens": Field(GRADIENTS, None, least=1, most=10**16),
    "samples_per_second": Field((TRAIN,), REQUIRED, most=10**9, whole=False, more_than_least=True),
    "sample_kib": Field((TRAIN,), REQUIRED, most=10**9, whole=False, more_than_least=True),
    "checkpoint_gib": Field((TRAIN,), None, most=10**6, whole=False, more_than_least=True),
    "checkpoints_kept": Field(LEARNING, 2, least=1, most=10**6),
    # A choice: BLOOM-176B's checkpoints took 40 s, every three hours.
    "checkpoint_stall_seconds": Field(LEARNING, 60, most=10**6, whole=False, more_than_least=True),
    "workers_per_gpu": Field(LEARNING, 4, least=0, most=1024),
}
# Keys of `model`, for all tasks but classic training. Those with None are derived from others.
MODEL: dict[str, Field] = {
    "parameters": Field(TASKS, REQUIRED, most=1e15, whole=False, more_than_least=True),
    "layers": Field(TASKS, REQUIRED, least=1, most=10**5),
    "hidden": Field(TASKS, REQUIRED, least=1, most=10**7),
    "heads": Field(TASKS, REQUIRED, least=1, most=10**5),
    "kv_heads": Field(TASKS, None, least=1, most=10**5),
    "head_size": Field(TASKS, None, least=1, most=10**5),
    "vocabulary": Field(TASKS, REQUIRED, least=1, most=10**8),
    "feed_forward": Field(TASKS, None, least=1, most=10**8),
    # Layers that keep keys and values: fewer than all in hybrid models.
    "attention_layers": Field(TASKS, None, least=1, most=10**5),
    # Layers among them that look back so many tokens only, and keep no more.
    "sliding_window": Field(TASKS, None, least=1, most=10**8),
    "sliding_layers": Field(TASKS, None, least=1, most=10**5),
    # Whether the output shares the input's embedding, as small models do.
    "tied_embeddings": Field(TASKS, False, flag=True),
    "largest_layer_parameters": Field(TASKS, None, least=1, most=1e15),
}


def _unit_hint(key: str, value: object) -> str:
    """Say which number stands for an amount that was given with a unit: GB and GiB are 7 % apart."""
    suffix = next((suffix for suffix in UNIT_OF_KEYS if key.endswith(suffix)), None)
    if suffix is None:
        return ""
    unit = UNIT_OF_KEYS[suffix]
    hint = f"; {key} is a number of {unit}"
    words = value.strip() if isinstance(value, str) else ""
    found = AMOUNT.fullmatch(words)
    if found and found[2] in UNITS[BYTES]:
        hint += f": {words} is {float(found[1]) * UNITS[BYTES][found[2]] / UNITS[BYTES][unit]:.6g}"
    return hint


def _number(where: str, key: str, value: object, field: Field) -> float | int:
    # YAML 1.1, which Ansible reads, takes 8.03e9 for a text: its numbers want a sign in the exponent.
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataError(f"{where}: {key}: {value!r} is not a number{_unit_hint(key, value)}")
    if not field.least <= value <= field.most or (field.more_than_least and value == field.least):
        least = f"more than {field.least:g} and at most" if field.more_than_least else f"from {field.least:g} to"
        raise DataError(f"{where}: {key}: {value!r} is not {least} {field.most:g}")
    if field.whole and value != int(value):
        raise DataError(f"{where}: {key}: {value!r} is not a whole number")
    return int(value) if field.whole else value


def _value(where: str, key: str, value: object, field: Field) -> Any:
    if field.flag:
        if not isinstance(value, bool):
            raise DataError(f"{where}: {key}: {value!r} is not true or false")
        return value
    if field.choices:
        if isinstance(value, bool) or value not in field.choices:
            raise DataError(f"{where}: {key}: {value!r} is not valid; {nearest(value, map(str, field.choices))}")
        return field.choices[field.choices.index(value)]
    return _number(where, key, value, field)


def fill(where: str, given: dict[str, Any], fields: dict[str, Field]) -> dict[str, Any]:
    for key in given:
        if key not in fields:
            raise DataError(f"{where}: there is no key {key!r}; {nearest(key, fields)}")
    filled = {}
    for key, field in fields.items():
        if key in given:
            filled[key] = _value(where, key, given[key], field)
        elif field.default is REQUIRED:
            raise DataError(f"{where}: {key} is missing")
        else:
            filled[key] = field.default
    return filled
