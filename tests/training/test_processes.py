"""Two processes train one student together, started as `distribution: pytorch` of Azure ML starts them."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from safetensors.torch import load_file

from azdistill.contracts.files import read_json, write_json, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.model.teacher import ModelTeacher
from azdistill.students.loading import load_student
from azdistill.training.checkpoints import is_complete
from tests.students import tiny
from tests.teacher.conftest import serving
from tests.training.conftest import rows, rows_with_other_answers, student_without_finite_z

TIMEOUT_S = 300


@contextmanager
def training(folder, student, train_rows, ranks, *flags, step="train"):
    """Processes of the train step. They are killed at the end of the block, if they still run."""
    write_rows(folder / "curated" / "train.jsonl", train_rows)
    write_rows(folder / "curated" / "validation.jsonl", rows(12, first=64))
    close_folder(folder / "curated", "curate", {})
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    outputs = [text for name in ("model", "metrics", "checkpoints") for text in (f"--{name}", folder / name)]
    command = [sys.executable, "-m", f"azdistill.steps.{step}", "--curated", folder / "curated", "--student", student]
    command += ["--learning-rate", "3e-3", "--max-length", "128", *outputs, *flags]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    variables = [together | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {} for rank in range(ranks)]
    processes = [
        subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for own in variables
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def train(*arguments, **options):
    """The output of each process of a training that ends well."""
    with training(*arguments, **options) as processes:
        outputs = [process.communicate(timeout=TIMEOUT_S) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return [stdout.decode() for stdout, _ in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_two_processes_train_one_student_and_the_main_process_writes_it(student, tmp_path, method):
    outputs = train(tmp_path, student, rows(64), 2, "--num-epochs", "2", "--method", method)
    assert outputs[0].startswith("train: 64 rows")
    assert outputs[1] == ""
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert metrics["steps"] == 10  # one process takes 20
    assert metrics["validation_loss"] < 5
    assert set(read_manifest(tmp_path / "model").files) >= {"model.safetensors", "tokenizer.json", "config.json"}
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "flags"),
    [
        ("smollm", ()),
        ("smollm", ("--sharding", "fsdp", "--attn-implementation", "eager", "--gradient-accumulation-steps", "2")),
        ("llama", ("--sharding", "fsdp", "--method", "lora")),
    ],
)
def test_two_processes_make_the_steps_of_one_process_with_the_batches_of_both(tmp_path, family, flags):
    """16 rows are one batch of one process, and two batches of two processes, with different numbers of tokens."""
    student = tiny.write(tmp_path / "student", family)
    same_prefix = [row for row in rows(16 * 7) if int(row.id, 16) % 7 == 0]
    flags = (*flags, "--num-epochs", "4", "--batch-size")
    train(tmp_path / "one", student, same_prefix, 1, *flags, "1000")
    train(tmp_path / "two", student, same_prefix, 2, *flags, "9")
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    losses = [read_json(tmp_path / name / "metrics" / "metrics.json") for name in ("one", "two")]
    assert [metrics["steps"] for metrics in losses] == [4, 4]
    assert losses[0]["validation_loss"] == pytest.approx(losses[1]["validation_loss"], abs=1e-5)
    assert max((one[name].float() - two[name].float()).abs().max().item() for name in one) < 1e-5


@pytest.mark.slow
def test_two_processes_that_are_killed_continue_from_a_checkpoint(student, tmp_path):
    """All processes are killed and started again, as on spot VMs. They save at the same steps, also by time."""
    flags = ("--num-epochs", "12", "--checkpoint-minutes", "0.001", "--checkpoint-steps", "4", "--sharding", "fsdp")
    arguments = (tmp_path, student, rows(64), 2, *flags)
    with training(*arguments) as processes:
        deadline = time.monotonic() + TIMEOUT_S
        while not any(map(is_complete, (tmp_path / "checkpoints").rglob("checkpoint-*"))):
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.02)
    saved = {path.name for path in (tmp_path / "checkpoints").rglob("*")}
    assert "pytorch_model_fsdp.bin" in saved  # accelerate ignores FSDP on CPUs
    train(*arguments)
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert 0 < metrics["resumed_from_step"] < metrics["steps"] == 60


@pytest.mark.slow
def test_two_processes_name_the_rows_of_the_one_whose_loss_is_not_finite(tmp_path):
    """The row that has no finite loss is in the batch of one process."""
    bad = TrainRow(id="f" * 16, messages=tiny.turns("n0000z", "red"))
    student = student_without_finite_z(tmp_path / "student")
    with training(tmp_path, student, [*rows(64), bad], 2, "--num-epochs", "1") as processes:
        errors = [process.communicate(timeout=TIMEOUT_S)[1].decode() for process in processes]
        assert [process.returncode for process in processes] == [1, 1]
    assert errors[0] == errors[1]
    assert f"row 65 ({bad.id})" in errors[0]
    assert errors[0].count("row ") < 12


@pytest.mark.slow
def test_two_processes_stop_early_together_and_save_the_best_weights(student, tmp_path):
    flags = ("--num-epochs", "40", "--early-stopping-patience", "2", "--learning-rate", "0.01")
    train(tmp_path, student, rows_with_other_answers(12, first=64), 2, *flags)
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert metrics["ended_by"] == "early_stopping"
    assert metrics["saved_step"] < metrics["steps"]


@pytest.mark.slow
def test_the_main_process_asks_a_scoring_teacher_for_both(student, tmp_path):
    """Its errors end both. The second training has other prompts, whose answers are not stored yet."""
    teacher = ModelTeacher(Simulation(latency_ms=0), load_student(tiny.write(tmp_path / "teacher", seed=9)), "m")
    flags = ["--on-policy", tmp_path / "on_policy.json", "--scorer", tmp_path / "scorer.json", "--num-epochs", "1"]
    write_json(tmp_path / "on_policy.json", {"share": 0.5, "max_new_tokens": 12, "start_fraction": 0.0})
    with serving(teacher) as url:
        scorer = {"teacher": {"model": "m", "endpoint": url}, "top_k": 8, "max_attempts": 1}
        write_json(tmp_path / "scorer.json", {**scorer})
        arguments = (student, rows(64), 2, *flags, "--store", tmp_path / "store")
        train(tmp_path / "both", *arguments, step="train_scored")
    usage = read_json(tmp_path / "both" / "metrics" / "usage.json")
    assert usage["asked"] == len(teacher.bought) > 16
    assert set(teacher.bought.values()) == {1}
    arguments = (student, rows(64, first=100), 2, *flags, "--store", tmp_path / "store")
    with training(tmp_path / "down", *arguments, step="train_scored") as processes:
        errors = [process.communicate(timeout=TIMEOUT_S)[1].decode() for process in processes]
    teacher.stop()
    assert [process.returncode for process in processes] == [1, 1]
    assert all("was not scored: gave up after" in error for error in errors), errors
