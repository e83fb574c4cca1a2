# Copyright (c) 2026, the mlops.onprem authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads need of shared storage: checkpoints, how fast they are written, room, and how fast data is read."""

from __future__ import annotations

from typing import Any

from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.estimate import (
    GIB,
    Estimate,
    billions,
    exactly,
    gib,
)
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import FINETUNE
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.states import (
    optimizer_bytes,
    per_parameter,
    trained_parameters,
)

# Of a model as it is distributed.
BASE_MODEL_BYTES = 2
# A shared file system is slow and fragile when it is full: buy 125 % of what is stored.
RESERVE = 1.25
RESERVE_SOURCE = "Bekman, Machine Learning Engineering, storage: 80 % of shared storage is usable"
# Token ids as they are stored for training: 16 bits where the vocabulary fits, else 32 (Megatron-LM, indexed datasets).
SMALL_VOCABULARY = 65_500


def checkpoint(recipe: dict[str, Any]) -> Estimate | None:
    """Bytes of one checkpoint; None for classic training that did not say."""
    if "model" not in recipe:
        size = recipe["checkpoint_gib"]
        return None if size is None else exactly(size * GIB, "as measured", "given")
    trained, each = trained_parameters(recipe), per_parameter(recipe)
    states = optimizer_bytes(recipe)[1]
    return exactly(
        trained * each.weights + states,
        f"{billions(trained)} x {each.weights:g} B of weights + {gib(states)} of optimizer states",
        "what training goes on from: 14 B for a parameter with mixed precision and AdamW, as MLPerf Storage counts",
    )


def write_rate(recipe: dict[str, Any], size: Estimate) -> Estimate:
    """Bytes per second at which a checkpoint is written within the time that training may stand still."""
    rate, seconds = size.expected / recipe["checkpoint_stall_seconds"], recipe["checkpoint_stall_seconds"]
    return exactly(rate, f"{gib(size.expected)} / {seconds:g} s", "size / allowed stall (Bekman, storage: checkpoints)")


def dataset_bytes(recipe: dict[str, Any]) -> tuple[float, str] | None:
    """The dataset and how its size came about; None where nothing is said of it."""
    if recipe["dataset_gib"] is not None:
        return recipe["dataset_gib"] * GIB, f"dataset {gib(recipe['dataset_gib'] * GIB)}"
    tokens = recipe.get("dataset_tokens")
    if tokens is None:
        return None
    each = 2 if recipe["model"]["vocabulary"] < SMALL_VOCABULARY else 4
    return float(tokens * each), f"dataset {billions(tokens)} tokens x {each} B"


def room(recipe: dict[str, Any], one: Estimate | None) -> Estimate | None:
    """Bytes of storage for dataset, checkpoints and the model that fine-tuning starts from; None where nothing is known."""
    parts = [part for part in [dataset_bytes(recipe)] if part]
    if one is not None:
        kept = recipe["checkpoints_kept"]
        parts.append((one.expected * kept, f"{kept} checkpoints x {gib(one.expected)}"))
    if recipe["task"] == FINETUNE:
        size = recipe["model"]["parameters"] * BASE_MODEL_BYTES
        parts.append((size, f"base model {gib(size)}"))
    if not parts:
        return None
    size = sum(part for part, text in parts)
    text = f"({' + '.join(text for part, text in parts)}) x {RESERVE}"
    return Estimate(size, size * RESERVE, size * 2, text, RESERVE_SOURCE)


def read_rate(recipe: dict[str, Any]) -> Estimate:
    """Bytes per second at which classic training reads its samples."""
    rate = recipe["samples_per_second"] * recipe["sample_kib"] * 2**10
    text = f"{recipe['samples_per_second']:g} samples/s x {recipe['sample_kib']:g} KiB"
    source = (
        "every sample is read from storage once an epoch; low: the 90 % of accelerator use that MLPerf Storage accepts"
    )
    return Estimate(rate * 0.9, rate, rate * 1.25, text, source)


def learning(recipe: dict[str, Any]) -> dict[str, Estimate]:
    """All that a task that learns needs of storage, by quantity."""
    one, needs = checkpoint(recipe), {}
    if one is not None:
        needs["checkpoint_bytes"] = one
        needs["checkpoint_write_bytes_per_second"] = write_rate(recipe, one)
    space = room(recipe, one)
    if space is not None:
        needs["storage_bytes"] = space
    if "samples_per_second" in recipe:
        needs["storage_read_bytes_per_second"] = read_rate(recipe)
    return needs
