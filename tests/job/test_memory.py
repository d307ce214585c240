"""GPU memory of training by the table of measured steps, and the settings that are chosen by it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from azdistill.contracts.train import TrainConfig
from azdistill.engine.pipeline.vm_sizes import VM_SIZES
from azdistill.job.bundle import pipeline_document
from azdistill.job.catalog import StudentFacts, built_in
from azdistill.job.memory import Training, training_of, training_of_pipeline
from azdistill.job.memory_table import TABLE_FILE, memory_table
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.training_settings import choose_settings, what_would_fit

T4, A10 = "Standard_NC4as_T4_v3", "Standard_NV36ads_A10_v5"
A100, H100 = "Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5"
TWO_A100, FOUR_A100 = "Standard_NC48ads_A100_v4", "Standard_NC96ads_A100_v4"


def job(student: str = "phi-4-mini", vm: str = A100, catalog: Any = None, **train: Any) -> DistillationJob:
    return DistillationJob.model_validate(
        {
            "task": "qa",
            "data": {"training_data": "rows.jsonl", "test_data": "test.jsonl"},
            "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]},
            "student": {"model": student},
            "compute": {"gpu": "a-cluster"} if vm == "cluster" else {"gpu_instance_type": vm},
            "train": train,
            "catalog": catalog or {},
        }
    )


def training(student: str = "phi-4-mini", vm: str = A100, **settings: Any) -> Training:
    facts = built_in().student(student)
    assert facts
    return Training(facts, student, TrainConfig.model_validate(settings).resolved(), VM_SIZES[vm])


def gb(*arguments: Any, **settings: Any) -> float:
    memory = training(*arguments, **settings).memory()
    assert memory
    return memory.total_gb


def chosen(*arguments: Any, **settings: Any) -> tuple[str, bool | None, int]:
    config = choose_settings(job(*arguments, **settings)).config
    return config.method, config.gradient_checkpointing, config.batch_size


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("full", True, 8)),
        ({"max_length": 256}, ("full", False, 8)),
        ({"batch_size": 32}, ("lora", True, 32)),
        ({"batch_size": 32, "gradient_accumulation_steps": 4}, ("lora", True, 32)),
        ({"gradient_checkpointing": False, "max_length": 512}, ("lora", False, 8)),
        ({"method": "lora"}, ("lora", True, 8)),
        ({"vm": A10, "batch_size": 4}, ("lora", True, 4)),
        ({"student": "smollm2-135m", "vm": T4}, ("full", True, 8)),
        ({"vm": "cluster"}, ("full", False, 8)),
        ({"vm": "cluster", "batch_size": "auto"}, ("full", False, 8)),
        ({"student": "./mine", "batch_size": "auto"}, ("full", False, 8)),
    ],
)
def test_a_method_is_chosen_that_fits_one_gpu(settings: dict[str, Any], expected: tuple[str, bool, int]) -> None:
    """Phi-4-mini takes 61 GB without activations, and with LoRA 8 GB. A T4 computes in float32."""
    assert chosen(**settings) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"student": "llama-3.2-1b", "vm": TWO_A100}, ("full", "none")),  # one GPU holds the complete training
        ({"vm": TWO_A100, "batch_size": 32}, ("full", "fsdp")),
        ({"student": "llama-3.1-8b", "vm": TWO_A100}, ("full", "fsdp")),
        ({"student": "phi-4", "vm": TWO_A100}, ("lora", "none")),
        ({"student": "phi-4", "vm": FOUR_A100}, ("full", "fsdp")),
        ({"student": "phi-4", "vm": FOUR_A100, "optimizer": "adafactor"}, ("lora", "none")),
        ({"student": "phi-4", "vm": FOUR_A100, "sharding": "none"}, ("lora", "none")),
        ({"student": "phi-4", "vm": FOUR_A100, "method": "full", "sharding": "deepspeed"}, ("full", "deepspeed")),
        ({"student": "phi-4", "vm": FOUR_A100, "method": "qlora"}, ("qlora", "none")),
        ({"student": "phi-4", "vm": "cluster"}, ("full", "none")),
    ],
)
def test_a_training_that_one_gpu_cannot_hold_is_sharded(settings: dict[str, Any], expected: tuple[str, str]) -> None:
    choice = choose_settings(job(**settings))
    assert (choice.config.method, choice.config.sharding) == expected


def test_shards_are_divided_and_layers_are_gathered() -> None:
    """Phi-4 has 14.66 billion weights: 340.8 million in a layer, 1,027.6 million in embeddings and head."""
    settings = {"student": "phi-4", "method": "full", "gradient_checkpointing": True}
    none, four, eight, zero = (
        replace(training(**settings, sharding=sharding), processes=processes).memory()
        for sharding, processes in (("none", 1), ("fsdp", 4), ("fsdp", 8), ("deepspeed", 8))
    )
    assert none
    assert four
    assert eight
    assert zero
    assert four.parts["weights"] == pytest.approx(14.66, rel=0.01)
    assert four.parts["gathered layers"] == pytest.approx(2 * (2 * 0.3408 + 1.0276), rel=0.001)
    assert four.parts["optimizer"] == pytest.approx(none.parts["optimizer"] / 4)
    assert eight.parts["optimizer"] == pytest.approx(none.parts["optimizer"] / 8)
    assert eight.total_gb < four.total_gb < none.total_gb / 3
    assert zero.parts["weights"] == pytest.approx(eight.parts["weights"] * 1.5, rel=0.01)
    lora = replace(training(**settings | {"method": "lora"}, sharding="fsdp"), processes=4).memory()
    assert lora
    assert lora.parts["weights"] == pytest.approx(14.8 / 2, rel=0.01)


def test_sharding_is_what_to_change_for_a_large_student() -> None:
    large = {"student": "phi-4", "method": "full", "gradient_checkpointing": True}
    one = training(**large, vm=A100)
    assert f"use {FOUR_A100} and set train.sharding to fsdp" in what_would_fit(one)
    four = training(**large, vm=FOUR_A100)
    changes = "set train.sharding to fsdp and compute.train_processes to 4"
    assert list(what_would_fit(four)) == [changes, "set train.method to lora"]
    two = replace(training(**large, vm=TWO_A100, sharding="fsdp"), processes=2)
    assert list(what_would_fit(two))[-1] == f"use {FOUR_A100}"


def test_the_batch_of_auto_is_the_largest_that_fits() -> None:
    method, checkpointing, rows = chosen(batch_size="auto")
    assert (method, checkpointing, rows >= 8) == ("full", True, True)
    settings = {"method": method, "gradient_checkpointing": checkpointing}
    assert training(batch_size=rows, **settings).fits() is True
    assert training(batch_size=rows + 1, **settings).fits() is False
    assert chosen("smollm2-135m", max_length=128, batch_size="auto")[2] == 64
    # The gradients of the first half are kept during the second.
    halves = chosen(batch_size="auto", gradient_accumulation_steps=2)[2]
    assert (halves % 2, rows / 2 < halves < rows) == (0, True)


def test_the_bundle_has_the_chosen_settings_and_azure_checks_read_them() -> None:
    document = pipeline_document(plan(job(batch_size="auto")))
    config = choose_settings(job(batch_size="auto")).config
    inputs = document["jobs"]["train"]["inputs"]
    assert document["inputs"]["method"] == config.method == "full"
    assert (inputs["batch_size"], inputs["gradient_checkpointing"]) == (config.batch_size, True)
    read = training_of_pipeline(document)
    assert read
    assert (read.measured, read.config.batch_size, read.config.method) == ("phi-4-mini", config.batch_size, "full")
    assert replace(read, gpu=VM_SIZES[A10]).fits() is False
    assert training_of_pipeline({"jobs": {}}) is None


def test_settings_change_the_memory_as_they_change_the_step() -> None:
    batch = {"method": "full", "gradient_checkpointing": True, "batch_size": 8}
    base = training(**batch).memory()
    assert base
    weights = 4 * 3.836
    accumulated = training(**batch | {"batch_size": 16, "gradient_accumulation_steps": 2}).memory()
    assert accumulated
    assert accumulated.parts["gradients"] == pytest.approx(weights, rel=0.01)
    distributed = replace(training(**batch), processes=8).memory()
    assert distributed
    assert distributed.total_gb >= accumulated.total_gb
    assert gb(**batch) - gb(optimizer="adafactor", **batch) == pytest.approx(2 * weights, rel=0.01)
    # Embeddings, 0.61 billion of 3.84 billion weights, have states in float32.
    assert gb(optimizer="adamw_8bit", **batch) - gb(optimizer="adafactor", **batch) == pytest.approx(11.46, rel=0.01)
    lora = {"method": "lora", "gradient_checkpointing": True}
    more = 4 * 3 * 0.0231 * 3 + 4 * 0.0231 * 3
    assert 0 < gb(lora_rank=64, **lora) - gb(**lora) <= more * 1.01
    assert gb(method="qlora", gradient_checkpointing=True) < gb(**lora) - 4


def test_memory_grows_with_the_batch_and_is_the_least_of_the_least_method() -> None:
    cells = [(method, on) for method in ("full", "lora", "qlora") for on in (False, True)]
    sizes = [gb(method=method, gradient_checkpointing=on, batch_size=16) for method, on in cells]
    assert all(without > with_it for without, with_it in zip(sizes[::2], sizes[1::2], strict=True))
    assert sizes[1::2] == sorted(sizes[1::2], reverse=True)
    rows = [gb(gradient_checkpointing=True, batch_size=number) for number in range(1, 40)]
    assert rows == sorted(rows)


@pytest.mark.parametrize(
    ("settings", "fixes"),
    [
        (
            {"gradient_checkpointing": False},
            ["train.gradient_checkpointing to true", "train.batch_size to 1", "train.method to qlora"],
        ),
        (
            {"batch_size": 32, "gradient_checkpointing": True},
            ["train.gradient_accumulation_steps to 16", "train.method to lora", f"use {H100}"],
        ),
        (
            {"method": "lora", "gradient_checkpointing": False, "vm": A10},
            ["train.gradient_checkpointing to true", "train.gradient_accumulation_steps to 8", f"use {H100}"],
        ),
        (
            {"batch_size": 2_000_000_000, "gradient_checkpointing": True},
            ["train.gradient_accumulation_steps to 1000000000"],
        ),
    ],
)
def test_what_to_change_is_computed(settings: dict[str, Any], fixes: list[str]) -> None:
    expected = [fix if fix.startswith("use") else f"set {fix}" for fix in fixes]
    assert list(what_would_fit(training(**settings))) == expected


def test_a_student_that_is_not_measured_has_a_rough_estimate() -> None:
    facts = {"students": {"mine": {"address": "azureml:mine:3", "parameters": 3}}}
    own = training_of(job("mine", catalog=facts))
    assert own
    memory = own.memory()
    assert memory
    assert (memory.is_rough, memory.total_gb) == (True, 54)
    assert chosen("mine", catalog=facts) == ("full", False, 8)
    assert chosen("mine", A10, catalog=facts)[0] == "lora"
    assert chosen("mine", A10, catalog={"students": {"mine": {"parameters": 14}}}) == ("qlora", False, 8)
    # What the job itself says of a student of the catalog wins over the table.
    of_the_job = training_of(job(catalog={"students": {"phi-4-mini": {"memory": 20}}}))
    assert of_the_job
    assert of_the_job.with_settings(method="full").memory() == replace(
        memory, parts={"weights, gradients, optimizer": 20}
    )
    assert Training(StudentFacts(), None, TrainConfig(), None).memory() is None


def test_the_table_has_every_student_of_the_catalog_and_a_small_error() -> None:
    table = memory_table()
    assert set(table.cells) == set(built_in().students)
    assert max(table.errors.values()) < 0.05
    for name, facts in built_in().students.items():
        full = table.cells[name]["full, bfloat16, float32 weights, checkpointing"]
        assert full.trained / 1e9 == pytest.approx(facts.parameters, rel=0.05), name
    assert len(json.dumps(json.loads(TABLE_FILE.read_text()))) < 200_000
