"""What holds for all workloads, and what bad workload data is told. Published figures: test_accuracy.py."""

from __future__ import annotations

from typing import Any

import pytest
from accuracy_data import LLAMA_8B, LLAMA_70B
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.errors import DataError
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.derive import workload_requirements
from ansible_collections.mlops.onprem.plugins.module_utils.sizing.workloads.fields import FIELDS, MODEL, TASKS
from hypothesis import given, settings
from hypothesis import strategies as st

GIB = 2**30


def needs(**workload: Any) -> dict[str, Any]:
    return workload_requirements([{"name": "w", **workload}])[0]["requirements"]


def serve(model: dict[str, Any], tokens: int, **more: Any) -> dict[str, Any]:
    return needs(task="serve", model=model, concurrent_tokens=tokens, **more)


def tune(model: dict[str, Any], **recipe: Any) -> dict[str, Any]:
    return needs(task="finetune", model=model, **{"method": "full", "precision": "bf16", **recipe})


# What one quantity is made of.


def test_numbers_as_yaml_reads_them():
    """PyYAML makes a text of 8.03e9."""
    assert serve({**LLAMA_8B, "parameters": "8.03e9"}, 1) == serve({**LLAMA_8B, "parameters": 8.03e9}, 1)


def test_hybrid_models_keep_fewer_layers():
    assert serve({**LLAMA_8B, "attention_layers": 8}, 1)["kv_cache_bytes"]["expected"] == 131_072 / 4


def test_bytes_for_each_parameter():
    """Full mixed 18, full bf16 8, LoRA 2: what a parameter costs before activations."""
    for recipe, expected in (({"precision": "mixed"}, 18), ({"precision": "bf16"}, 8), ({"precision": "fp32"}, 16)):
        need = tune(LLAMA_8B, **recipe)
        size = sum(need[f"gpu_{part}_bytes_per_gpu"]["expected"] for part in ("weights", "gradients", "optimizer"))
        assert size / 8.030e9 == pytest.approx(expected, rel=0.001)
    need = tune(LLAMA_8B, method="lora")
    assert need["gpu_weights_bytes_per_gpu"]["expected"] / 8.030e9 == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(
    ("requests", "tokens", "kept"),
    [
        (1, 100, 100),  # shorter than the window
        (1, 4096, 1024),
        (4, 4096, 4096),  # as long as the window each
        (16, 4096, 4096),
        (3, 6144, 3072),
    ],
)
def test_a_window_caps_what_each_request_keeps(requests, tokens, kept):
    model = {**LLAMA_8B, "sliding_window": 1024}
    found = serve(model, tokens, concurrent_requests=requests)["kv_cache_bytes"]["expected"]
    assert found == 131_072 * kept


def test_layers_without_a_window_keep_all():
    model = {**LLAMA_8B, "sliding_window": 1024, "sliding_layers": 24}
    found = serve(model, 4096, concurrent_requests=1)["kv_cache_bytes"]["expected"]
    assert found == 4096 * (8 * 4096 + 24 * 1024)


def test_checkpoints_and_dataset_make_the_storage():
    need = needs(
        task="pretrain", model=LLAMA_8B, dataset_tokens=10**12, checkpoints_kept=3, checkpoint_stall_seconds=20
    )
    one = need["checkpoint_bytes"]["expected"]
    assert one == 8.030e9 * 14
    # A vocabulary of 128,256 takes four bytes a token.
    assert need["storage_bytes"]["expected"] == 1.25 * (4e12 + 3 * one)
    assert need["storage_bytes"]["low"] == 4e12 + 3 * one
    assert need["checkpoint_write_bytes_per_second"]["expected"] == one / 20


def test_a_small_vocabulary_is_stored_in_16_bits():
    model = {**LLAMA_8B, "vocabulary": 32000}
    few, many = (needs(task="pretrain", model=model, dataset_tokens=count) for count in (10**9, 2 * 10**9))
    assert many["storage_bytes"]["low"] - few["storage_bytes"]["low"] == 2e9


def test_adapters_are_all_that_a_checkpoint_of_lora_holds():
    # Rank 16 on the seven matrices of 32 layers: 41,943,040 parameters.
    need = tune(LLAMA_8B, method="lora", precision="mixed", checkpoints_kept=1)
    assert need["checkpoint_bytes"]["expected"] == 41_943_040 * 14
    # The frozen weights lie in storage once.
    assert need["storage_bytes"]["low"] == 41_943_040 * 14 + 8.030e9 * 2


@pytest.mark.parametrize(
    ("precision", "optimizer", "each"),
    [("mixed", "adamw", 14), ("bf16", "adamw", 6), ("fp32", "adamw", 12), ("mixed", "sgd", 6), ("bf16", "sgd", 2)],
)
def test_a_checkpoint_holds_weights_and_states(precision, optimizer, each):
    need = needs(task="pretrain", model=LLAMA_8B, precision=precision, optimizer=optimizer)
    assert need["checkpoint_bytes"]["expected"] == 8.030e9 * each


def test_what_is_moved_off_the_gpu_is_on_the_host():
    recipe = {"sequence_length": 8192, "gpus": 2}
    here, there = tune(LLAMA_8B, **recipe), tune(LLAMA_8B, **recipe, activation_offload=True)
    saved = here["gpu_memory_bytes_per_gpu"]["expected"] - there["gpu_memory_bytes_per_gpu"]["expected"]
    assert saved == 2 * 8192 * 4096 * 32
    assert there["host_offloaded_bytes"]["low"] == 2 * saved


def test_without_sharding_each_process_offloads_all():
    alone, four, sharded = (
        tune(LLAMA_8B, gpus=gpus, sharding=sharding, offload="optimizer")["host_offloaded_bytes"]["low"]
        for gpus, sharding in ((1, "none"), (4, "none"), (4, "zero1"))
    )
    assert (four, sharded) == (4 * alone, alone)


def test_memory_of_the_host_covers_loading():
    """Eight processes that each make 70e9 parameters in fp32 take more than training with them does."""
    recipe = {"gpus": 8, "sharding": "zero3", "precision": "mixed"}
    layers, whole = (tune(LLAMA_70B, **recipe, loading=how) for how in ("layers", "whole"))
    assert whole["host_memory_bytes"]["expected"] == whole["host_loading_bytes"]["expected"]
    assert layers["host_memory_bytes"]["expected"] > layers["host_loading_bytes"]["expected"]


def test_what_each_task_is_told():
    """Quantities by task: a name that goes missing breaks whoever reads it."""
    learning = {"gpus", "gpu_memory_bytes_per_gpu", "host_memory_bytes", "cpu_threads", "checkpoint_bytes"}
    learning |= {"checkpoint_write_bytes_per_second", "storage_bytes"}
    served = {
        "gpus",
        "gpu_memory_bytes_per_gpu",
        "host_memory_bytes",
        "kv_cache_bytes",
        "weights_bytes",
        "storage_bytes",
    }
    assert learning <= set(needs(task="pretrain", model=LLAMA_8B))
    assert learning <= set(tune(LLAMA_8B, method="qlora"))
    assert served <= set(serve(LLAMA_8B, 1))
    classic = needs(**CLASSIC, checkpoint_gib=2)
    assert learning | {"storage_read_bytes_per_second"} <= set(classic)
    assert classic["storage_bytes"]["expected"] == 1.25 * (1000 + 2 * 2) * GIB
    assert classic["checkpoint_write_bytes_per_second"]["expected"] == round(2 * GIB / 60)


def test_one_gpu_may_shard_to_the_host():
    need = tune(LLAMA_8B, sharding="zero3", offload="all", gpus=1)
    assert need["gpu_memory_bytes_per_gpu"]["expected"] < 12 * GIB


# What holds for all workloads.

# Each example sizes dozens of numbers of GPUs.
few = settings(max_examples=50, deadline=None)
GROWING = ("sequence_length", "micro_batch")


def valid(recipe: dict[str, Any]) -> dict[str, Any]:
    """Take back what contradicts the rest."""
    if recipe["offload"] == "all" and recipe["sharding"] != "zero3":
        recipe["offload"] = "optimizer"
    if recipe["method"] == "qlora" and recipe["precision"] == "fp32":
        recipe["precision"] = "bf16"
    recipe["activation_offload"] &= recipe["activation_checkpointing"] == "full"
    recipe["optimizer_in_backward"] &= recipe["sharding"] in ("none", "zero3")
    return recipe


SIZES = st.fixed_dictionaries(
    {
        "gpus": st.integers(2, 512),
        "sharding": st.sampled_from(["none", "zero1", "zero2", "zero3"]),
        "precision": st.sampled_from(["mixed", "bf16", "fp32"]),
        "method": st.sampled_from(["full", "lora", "qlora"]),
        "optimizer": st.sampled_from(["adamw", "adamw_8bit", "sgd", "sgd_momentum"]),
        "optimizer_in_backward": st.booleans(),
        "offload": st.sampled_from(["none", "optimizer", "all"]),
        "activation_checkpointing": st.sampled_from(["none", "selective", "full"]),
        "activation_offload": st.booleans(),
        "attention": st.sampled_from(["flash", "eager"]),
        "compiled": st.booleans(),
        "chunked_loss": st.booleans(),
        "loading": st.sampled_from(["whole", "layers"]),
        "sequence_length": st.integers(1, 10**6),
        "micro_batch": st.integers(1, 64),
    }
).map(valid)


def gpu(model: dict[str, Any], **recipe: Any) -> float:
    return float(tune(model, **recipe)["gpu_memory_bytes_per_gpu"]["expected"])


@few
@given(SIZES)
def test_bands_are_ordered_and_say_how_they_came_about(recipe):
    for quantity, need in tune(LLAMA_8B, **recipe).items():
        assert 0 <= need["low"] <= need["expected"] <= need["high"], quantity
        assert need["formula"]
        assert need["source"]


@few
@given(SIZES, st.integers(2, 8))
def test_more_gpus_never_need_more_memory_each(recipe, factor):
    assert gpu(LLAMA_8B, **{**recipe, "gpus": recipe["gpus"] * factor}) <= gpu(LLAMA_8B, **recipe) + 1


@few
@given(SIZES, st.sampled_from(GROWING), st.integers(2, 8))
def test_longer_or_more_samples_never_need_less(recipe, key, factor):
    few, many = tune(LLAMA_8B, **recipe), tune(LLAMA_8B, **{**recipe, key: recipe[key] * factor})
    for quantity in few:
        for end in ("low", "expected", "high"):
            assert many[quantity][end] >= few[quantity][end], quantity


@few
@given(SIZES, st.floats(1.01, 100))
def test_more_parameters_never_need_less(recipe, factor):
    few = tune(LLAMA_8B, **recipe)
    many = tune({**LLAMA_8B, "parameters": LLAMA_8B["parameters"] * factor}, **recipe)
    for quantity in few:
        assert many[quantity]["expected"] >= few[quantity]["expected"], quantity


@few
@given(SIZES)
def test_lora_needs_less_than_full_and_qlora_less_than_lora(recipe):
    """Adapters come on top of the frozen weights: without states and gradients, full tuning has nothing to save on."""
    if recipe["precision"] == "fp32":
        recipe = {**recipe, "precision": "mixed"}
    recipe = {**recipe, "optimizer": "adamw", "optimizer_in_backward": False}
    full, lora, qlora = (gpu(LLAMA_8B, **{**recipe, "method": method}) for method in ("full", "lora", "qlora"))
    adapters = 41_943_040 * 18
    assert lora <= full + (adapters if recipe["offload"] != "none" else 0)
    assert qlora <= lora


@few
@given(SIZES)
def test_the_same_question_has_the_same_answer(recipe):
    question = [{"name": "w", "task": "finetune", "model": LLAMA_8B, **recipe}]
    before = repr(question)
    assert workload_requirements(question) == workload_requirements(question)
    assert repr(question) == before


@few
@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**6), st.integers(1, 32))
def test_a_window_never_needs_more(tokens, requests, window, layers):
    tokens = max(tokens, requests)
    model = {**LLAMA_8B, "sliding_window": window, "sliding_layers": layers}
    capped = serve(model, tokens, concurrent_requests=requests)["kv_cache_bytes"]["expected"]
    wider = serve({**model, "sliding_window": window + 1}, tokens, concurrent_requests=requests)
    assert capped <= wider["kv_cache_bytes"]["expected"] <= serve(LLAMA_8B, tokens)["kv_cache_bytes"]["expected"]


# Mostly words that mean something, so that most examples get past the first check.
KEYS = st.sampled_from([*FIELDS, "name", "task", "model", "gpu", ""]) | st.text(max_size=8)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 1, 2, 8, 64, 1e9, "8.03e9", "900 GB"])
WORDS = st.sampled_from(["w", "full", "lora", "zero3", "all", "bf16", "none", *TASKS]) | st.text(max_size=8)
VALUES = NUMBERS | WORDS | st.booleans() | st.none() | st.lists(st.integers(), max_size=2)
MODELS = st.dictionaries(st.sampled_from([*MODEL, "layrs"]), NUMBERS | st.none())
ANYTHING = st.dictionaries(KEYS, VALUES | MODELS, max_size=12)
NEAR = st.builds(
    lambda task, changes: {"name": "w", **task, **changes},
    st.sampled_from(
        [
            {"task": "serve", "model": LLAMA_8B, "concurrent_tokens": 1},
            {"task": "finetune", "model": LLAMA_8B, "method": "qlora"},
            {"task": "pretrain", "model": LLAMA_8B},
            {"task": "train", "gpu_memory_gib": 1, "dataset_gib": 1, "samples_per_second": 1, "sample_kib": 1},
        ]
    ),
    st.dictionaries(KEYS, VALUES | MODELS, max_size=3),
)


@few
@given(NEAR | ANYTHING | VALUES)
def test_whatever_is_given_is_answered_or_named(workload):
    """Never another exception, and never a number that is none."""
    try:
        found = workload_requirements([workload])
    except DataError as error:
        assert str(error).startswith("workload")
    else:
        for need in found[0]["requirements"].values():
            assert 0 <= need["low"] <= need["expected"] <= need["high"]


CLASSIC = {
    "task": "train",
    "gpus": 8,
    "gpu_memory_gib": 20,
    "dataset_gib": 1000,
    "samples_per_second": 3000,
    "sample_kib": 110,
    "workers_per_gpu": 2,
}


def test_classic_training_is_storage_and_processors():
    need = needs(**CLASSIC)
    assert need["storage_bytes"]["expected"] == 1250 * GIB
    assert need["storage_read_bytes_per_second"]["expected"] == 3000 * 110 * 1024
    # 28 cores for 8 GPUs with two loaders each.
    assert need["cpu_threads"]["expected"] == 28


def options(**workload: Any) -> dict[int, int]:
    """GPUs by class."""
    found = workload_requirements([{"name": "w", **workload}])[0]["gpu_options"]
    return {option["class_gb"]: option["gpus"] for option in found}


def test_fewer_of_a_larger_class():
    found = options(
        task="finetune", method="full", precision="bf16", model=LLAMA_70B, gpus=8, sharding="zero3", chunked_loss=True
    )
    # 564 GB of states: 8 cards of the 80 GB class would leave nothing for the rest, so it takes 16, which 64 GB do for.
    assert found[64] == 16
    assert found[94] == 8
    assert 80 not in found
    assert list(found) == sorted(found)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_what_lies_on_the_host_may_do_with_one_gpu():
    recipe = {"method": "full", "precision": "bf16", "model": LLAMA_8B, "gpus": 2, "sharding": "zero3"}
    assert options(task="finetune", **recipe, offload="all")[16] == 1
    assert 1 not in options(task="finetune", **recipe).values()


def test_a_server_splits_whole_heads():
    found = options(task="serve", model=LLAMA_70B, concurrent_tokens=65536)
    assert (found[64], found[94], found[192]) == (4, 2, 1)
    assert all(64 % gpus == 0 for gpus in found.values())


def test_what_is_not_split_needs_a_card_that_holds_it():
    assert options(task="finetune", method="lora", precision="bf16", model=LLAMA_8B, gpus=4) == {24: 4}
    assert options(task="finetune", method="full", model=LLAMA_70B, gpus=8) == {}


@few
@given(SIZES)
def test_an_option_is_enough(recipe):
    for class_gb, gpus in options(task="finetune", model=LLAMA_8B, **recipe).items():
        need = tune(LLAMA_8B, **{**recipe, "gpus": gpus})["gpu_memory_bytes_per_gpu"]["expected"]
        assert need <= class_gb * GIB * 0.93 + 1


# Bad input.

SERVED = {"task": "serve", "model": LLAMA_8B, "concurrent_tokens": 1}
TUNED = {"task": "finetune", "model": LLAMA_8B, "method": "lora"}


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ({**SERVED, "name": ""}, "name: '' is not one word"),
        ({**SERVED, "name": "a b"}, "name: 'a b' is not one word"),
        ({**SERVED, "task": "serv"}, "did you mean 'serve'?"),
        ({**SERVED, "concurent_tokens": 1}, "did you mean 'concurrent_tokens'?"),
        ({**SERVED, "gpus": 0}, "gpus: 0 is not from 1 to"),
        ({**SERVED, "gpus": -1}, "gpus: -1 is not from 1 to"),
        ({**SERVED, "gpus": True}, "is not a number"),
        ({**SERVED, "gpus": "4"}, "gpus: '4' is not a number"),
        ({**SERVED, "gpus": 1.5}, "is not a whole number"),
        ({**SERVED, "gpus": float("nan")}, "is not a number"),
        ({**SERVED, "optimizer": "adamw"}, "does not belong to the task 'serve'"),
        ({**SERVED, "model": {**LLAMA_8B, "parameters": 8.03}}, "counted in pieces"),
        ({**SERVED, "model": {**LLAMA_8B, "layrs": 32}}, "did you mean 'layers'?"),
        ({**SERVED, "model": {**LLAMA_8B, "kv_heads": 64}}, "kv_heads 64 is more than heads 32"),
        ({**SERVED, "model": {**LLAMA_8B, "heads": 33}}, "give head_size"),
        ({**SERVED, "model": "llama"}, "is not a dictionary"),
        ({"task": "serve", "model": LLAMA_8B}, "concurrent_tokens is missing"),
        ({"task": "finetune", "model": LLAMA_8B}, "method is missing"),
        ({**TUNED, "method": "qlora", "sharding": "zero3", "gpus": 1}, "needs more than one GPU"),
        ({**TUNED, "offload": "all"}, "needs sharding 'zero3'"),
        ({**TUNED, "gpus": 2, "sharding": "zero2", "optimizer_in_backward": True}, "optimizer_in_backward"),
        ({**TUNED, "activation_offload": True, "activation_checkpointing": "none"}, "activation_offload"),
        ({**TUNED, "compiled": "yes"}, "is not true or false"),
        ({**TUNED, "method": "full", "lora_rank": 8}, "lora_rank: goes with method 'lora' or 'qlora', not 'full'"),
        ({**TUNED, "frozen_bits": 8}, "frozen_bits: goes with method 'qlora', not 'lora'"),
        ({**TUNED, "method": "qlora", "frozen_bits": 5}, "frozen_bits: 5 is not valid; valid: 4, 8"),
        ({**TUNED, "method": "qlora", "precision": "fp32"}, "precision: 'fp32' does not go with method 'qlora'"),
        ({**TUNED, "lora_rank": 65536}, "more parameters than the model itself"),
        ({**TUNED, "dataset_gib": "900 GB"}, "dataset_gib is a number of GiB: 900 GB is 838.19"),
        ({**TUNED, "dataset_gib": "900GiB"}, "dataset_gib is a number of GiB: 900GiB is 900"),
        ({**TUNED, "dataset_gib": "900 gigs"}, "'900 gigs' is not a number; dataset_gib is a number of GiB"),
        ({**TUNED, "dataset_gib": 0}, "dataset_gib: 0 is not more than 0"),
        ({**TUNED, "dataset_gib": -5}, "dataset_gib: -5 is not more than 0"),
        ({**TUNED, "dataset_gib": 1, "dataset_tokens": 1}, "dataset_gib and dataset_tokens both"),
        ({**TUNED, "dataset_gb": 1}, "did you mean 'dataset_gib'?"),
        ({**TUNED, "checkpoint_stall_seconds": 0}, "checkpoint_stall_seconds: 0 is not more than 0"),
        ({**TUNED, "checkpoints_kept": 0}, "checkpoints_kept: 0 is not from 1"),
        ({**SERVED, "checkpoints_kept": 1}, "does not belong to the task 'serve'"),
        ({**SERVED, "model": {**LLAMA_8B, "sliding_layers": 8}}, "sliding_layers needs sliding_window"),
        ({**SERVED, "model": {**LLAMA_8B, "sliding_window": 8}}, "concurrent_requests is missing"),
        (
            {**SERVED, "model": {**LLAMA_8B, "attention_layers": 8, "sliding_window": 8, "sliding_layers": 9}},
            "sliding_layers 9 is more than attention_layers 8",
        ),
        ({**SERVED, "model": {**LLAMA_8B, "kv_heads": 5}}, "heads 32 is not a multiple of kv_heads 5"),
        ({**SERVED, "concurrent_requests": 2}, "concurrent_requests 2 is more than concurrent_tokens 1"),
        ({"task": "train", "model": LLAMA_8B}, "is missing"),
        ({**CLASSIC, "sample_kib": "110 KB"}, "'110 KB' is not a number; sample_kib is a number of KiB"),
        ({**CLASSIC, "sample_kib": "110 kB"}, "sample_kib is a number of KiB: 110 kB is 107.422"),
        ({**CLASSIC, "gpu_memory_gib": 0}, "gpu_memory_gib: 0 is not more than 0"),
        ({**CLASSIC, "checkpoints_kept": 3}, "checkpoints_kept: needs checkpoint_gib"),
        ({key: value for key, value in CLASSIC.items() if key != "dataset_gib"}, "dataset_gib is missing"),
    ],
)
def test_bad_input_is_named(workload, said):
    with pytest.raises(DataError, match="workload") as error:
        workload_requirements([{"name": "support-llm", **workload}])
    assert said in str(error.value)


def test_names_are_unique_and_the_list_is_a_list():
    with pytest.raises(DataError, match="stands twice"):
        workload_requirements([{"name": "a", **SERVED}, {"name": "a", **SERVED}])
    with pytest.raises(DataError, match="is not a list"):
        workload_requirements({"name": "a", **SERVED})
