"""Memory of a training step on fake tensors: as counted, as in the table that plans use, and as in a real step."""

import pytest
import torch

from azdistill.contracts.train import TrainConfig
from azdistill.job.memory_table import Setting, memory_table
from azdistill.training.memory import peak_bytes, step_memory
from azdistill.training.memory_tracker import MemoryTracker
from benchmarks.memory import LLAMA_5M, plan_error_max
from benchmarks.memory_table import cell, student_configs


def test_the_tracker_counts_each_live_storage_once() -> None:
    with MemoryTracker(vocabulary=64) as tracker:
        weight = torch.zeros(64, 8)
        tracker.set_kind(weight, "weights")
        tracker.start_window("step")
        copied = weight.to(torch.bfloat16)
        view = torch.ones(4, 8)[1:]
        logits = view @ weight.t()
        del view
        tracker.start_window("later")
        del copied, logits
    assert tracker.peaks["step"] == {
        "weights": 64 * 8 * 4 + 64 * 8 * 2,
        "gradients": 0,
        "optimizer": 0,
        "activations": 4 * 8 * 4,
        "logits": 3 * 64 * 4,
    }
    assert sum(tracker.live.values()) == 64 * 8 * 4


@pytest.mark.slow
def test_a_step_has_the_parts_that_follow_from_its_settings() -> None:
    full = step_memory(LLAMA_5M, TrainConfig(method="full", precision="float32"), 4, 64, "cpu")
    weights = full["optimizer"]["weights"]
    # AdamW keeps two values of each weight, and a gradient has the type of its weight.
    assert full["optimizer"]["gradients"] == pytest.approx(weights, rel=0.001)
    assert full["optimizer"]["optimizer"] == pytest.approx(2 * weights, rel=0.001)
    assert full["forward, layer 1"]["gradients"] == 0
    mixed = step_memory(LLAMA_5M, TrainConfig(method="full", precision="bfloat16"), 4, 64, "cpu")
    # The weights, and copies of those of the layers in bfloat16.
    assert 1.2 * weights < mixed["backward, layer 4"]["weights"] < 1.5 * weights
    lora = step_memory(LLAMA_5M, TrainConfig(method="lora", precision="float32"), 4, 64, "cpu")
    assert lora["optimizer"]["gradients"] < 0.1 * weights
    checkpointed = TrainConfig(method="full", precision="float32", gradient_checkpointing=True)
    assert peak_bytes(step_memory(LLAMA_5M, checkpointed, 16, 64, "cpu")) < 0.7 * peak_bytes(
        step_memory(LLAMA_5M, TrainConfig(method="full", precision="float32"), 16, 64, "cpu")
    )


@pytest.mark.slow
def test_the_table_is_that_of_this_trainer() -> None:
    """If it fails: the step takes another amount of memory now. Write the table anew with `make memory-table`."""
    setting = Setting("lora", "bfloat16", "bfloat16", True)
    known, measured = memory_table().cell("smollm2-135m", setting), cell(student_configs()["smollm2-135m"], setting)
    assert known
    assert (known.trained, known.optimizer, known.chunk) == (measured.trained, measured.optimizer, measured.chunk)
    for rows, length in ((8, 2048), (64, 512)):
        now, then = (
            max(sum(line.parts(rows, length, each.chunk).values()) for line in each.lines) for each in (measured, known)
        )
        assert now == pytest.approx(then, rel=0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_estimate_is_within_15_percent_of_measured_memory() -> None:
    assert plan_error_max() < 0.15
