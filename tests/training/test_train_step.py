"""The train step as Azure ML runs it: preempted and started again, it gives the same student."""

import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from safetensors.torch import load_file

from azdistill.contracts.files import read_json, read_rows, write_json, write_rows
from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import STEP, TrainConfig
from azdistill.steps.runner import run_step
from azdistill.steps.train import body, hash_inputs
from azdistill.training.checkpoints import is_complete, step_of
from azdistill.training.fine_tune import fine_tune
from tests.job_variables import job_variables
from tests.manifests import rewrite
from tests.students import tiny
from tests.training.conftest import CONFIG, rows

FLAGS = {"seed": 5, "learning_rate": 3e-3, "batch_size": 8, "num_epochs": 8, "max_length": 128}
HALF_EPOCHS = {"num_epochs": 1, "checkpoints_per_epoch": 2}


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    write_rows(folder / "train.jsonl", rows(160))
    write_rows(folder / "validation.jsonl", rows(12, first=160))
    close_folder(folder, "curate", {})
    return folder


def argv(folder, curated, student, **flags):
    outputs = {name: folder / name for name in STEP.outputs}
    values = {"curated": curated, "student": student, **outputs, **FLAGS, **flags}
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def train(folder, curated, student, **flags):
    return run_step(STEP, body, argv(folder, curated, student, **flags))


def complete_checkpoints(folder):
    return {path.name for path in folder.glob("checkpoints/*/*/checkpoint-*") if is_complete(path)}


def train_until_signal(folder, arguments, number):
    """Start the step, wait for a new complete checkpoint and send a signal. Returns exit code and stderr."""
    before, deadline = complete_checkpoints(folder), time.monotonic() + 120
    command = [sys.executable, "-m", STEP.module, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not complete_checkpoints(folder) - before:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr


def test_a_rented_gpu_that_cannot_be_used_stops_the_step_before_any_work(
    curated, student, tmp_path, monkeypatch, capfd
):
    for name, value in job_variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(REQUIRED_GPUS, "99")
    assert train(tmp_path, curated, student) == 1
    assert capfd.readouterr().err.startswith(f"train: {REQUIRED_GPUS}=99: torch ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_training_preempted_twice_gives_the_same_student(curated, student, tmp_path, capfd):
    """SIGTERM (a preempted node) saves the current step; after SIGKILL the last complete checkpoint is resumed."""
    folder = tmp_path / "preempted"
    flags = argv(folder, curated, student, checkpoint_steps=5)  # within the epochs of 22 steps
    code, stderr = train_until_signal(folder, flags, signal.SIGTERM)
    assert (code, stderr.count("\n")) == (130, 1)
    assert "stopped by SIGTERM after step" in stderr
    assert not (folder / "model" / "manifest.json").exists()
    code, stderr = train_until_signal(folder, flags, signal.SIGKILL)
    assert (code, stderr) == (-signal.SIGKILL, "")
    assert train(folder, curated, student) == 0
    assert train(tmp_path / "unstopped", curated, student) == 0
    resumed, unstopped = (read_json(run / "metrics" / "metrics.json") for run in (folder, tmp_path / "unstopped"))
    assert unstopped["resumed_from_step"] == 0 < resumed["resumed_from_step"] < resumed["steps"] == unstopped["steps"]
    models = [(run / "model" / "model.safetensors").read_bytes() for run in (folder, tmp_path / "unstopped")]
    assert models[0] == models[1]
    assert resumed["validation_loss"] == unstopped["validation_loss"]
    assert read_manifest(folder / "model").counts == {"parameters": unstopped["parameters"]}
    assert list((folder / "checkpoints").iterdir()) == []


def test_the_step_trains_adapters_and_keeps_them_next_to_the_merged_model(curated, student, tmp_path):
    """Without a learning rate, it is that of the method."""
    arguments = argv(tmp_path, curated, student, num_epochs=0.3, method="lora", lora_rank=2, lora_targets="q_proj")
    index = arguments.index("--learning-rate")
    assert run_step(STEP, body, arguments[:index] + arguments[index + 2 :]) == 0
    config = read_manifest(tmp_path / "metrics").provenance.config
    assert (config["method"], config["learning_rate"]) == ("lora", 2e-4)
    adapter = load_file(tmp_path / "model" / "adapter" / "adapter_model.safetensors")
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert {name.split(".")[-3] for name in adapter} == {"q_proj"}
    assert metrics["trained_parameters"] == sum(weight.numel() for weight in adapter.values())
    assert read_manifest(tmp_path / "model").counts == {"parameters": metrics["parameters"]}
    base, merged = (load_file(path / "model.safetensors") for path in (student, tmp_path / "model"))
    assert {name: weight.shape for name, weight in base.items()} == {name: w.shape for name, w in merged.items()}


@pytest.mark.parametrize(("settings", "resumes"), [({"checkpoint_minutes": 5}, True), ({"learning_rate": 1e-3}, False)])
def test_the_next_attempt_of_a_job_continues_from_the_checkpoint_of_the_one_before(
    curated, student, earlier, tmp_path, monkeypatch, settings, resumes
):
    """Attempts are jobs with other names, and share the folder of checkpoints. Another config starts anew."""
    shutil.copytree(earlier, tmp_path / "checkpoints")
    first, last = sorted(tmp_path.glob("checkpoints/*/small-1-train/*"), key=step_of)
    shutil.rmtree(last)
    for name, value in job_variables("small-2-train").items():
        monkeypatch.setenv(name, value)
    assert train(tmp_path, curated, student, **HALF_EPOCHS, **settings) == 0
    resumed = read_json(tmp_path / "metrics" / "metrics.json")["resumed_from_step"]
    assert resumed == (step_of(first) if resumes else 0)
    assert [path.name for path in (tmp_path / "checkpoints").glob("*/*")] == ([] if resumes else ["small-1-train"])


def test_the_hash_of_the_inputs_depends_on_rows_settings_and_student(curated, student, tmp_path):
    """fine_tune resumes a checkpoint of the same hash only."""
    other_student = tiny.write(tmp_path / "student", "smollm", seed=1, attention_dropout=0.2)
    write_rows(tmp_path / "curated" / "train.jsonl", rows(8))
    close_folder(tmp_path / "curated", "curate", {})
    hashes = [
        hash_inputs(CONFIG, curated, student),
        hash_inputs(CONFIG.model_copy(update={"learning_rate": 1e-3}), curated, student),
        hash_inputs(CONFIG, tmp_path / "curated", student),
        hash_inputs(CONFIG, curated, other_student),
        hash_inputs(CONFIG, curated, student, processes=2),
    ]
    assert len(set(hashes)) == 5
    other_times = CONFIG.model_copy(update={"checkpoint_minutes": 5, "checkpoint_steps": 100})
    assert hash_inputs(other_times, curated, student) == hashes[0]
    assert hash_inputs(CONFIG, curated, shutil.copytree(student, tmp_path / "copy")) == hashes[0]


def remove_manifest(curated, student):
    (curated / "manifest.json").unlink()


def break_row(curated, student):
    rewrite(curated / "train.jsonl", '{"id": 1}\n')


def remove_template(curated, student):
    (student / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("harm", "flags", "message"),
    [
        (remove_manifest, {}, "no manifest.json"),
        (break_row, {}, "train.jsonl:1: "),
        (remove_template, {}, "no chat_template"),
        (lambda curated, student: None, {"max_length": 16}, "train.max_length=16"),
        (lambda curated, student: None, {"learning_rate": 1}, "learning_rate='1'"),
    ],
)
def test_wrong_input_is_one_line_and_no_model(tmp_path, capsys, harm, flags, message):
    curated, student = tmp_path / "curated", tiny.write(tmp_path / "student")
    write_rows(curated / "train.jsonl", rows(8))
    write_rows(curated / "validation.jsonl", [])
    close_folder(curated, "curate", {})
    harm(curated, student)
    code = train(tmp_path, curated, student, **flags)
    stderr = capsys.readouterr().err
    assert (code, stderr.count("\n")) == (2, 1)
    assert stderr.startswith("train: ")
    assert message in stderr
    assert not (tmp_path / "model" / "manifest.json").exists()


@pytest.fixture(scope="module")
def earlier(curated, student, tmp_path_factory):
    """The folder of the checkpoints of an earlier attempt, which ended before it wrote the student."""
    folder = tmp_path_factory.mktemp("earlier")
    config = TrainConfig(**FLAGS | HALF_EPOCHS).resolved()
    rows_of = [list(read_rows(curated / f"{name}.jsonl", TrainRow)) for name in ("train", "validation")]
    inputs_hash = hash_inputs(config, curated, student)
    fine_tune(*rows_of, student, config, folder / inputs_hash[:16] / "small-1-train", inputs_hash)
    return folder


@pytest.mark.parametrize(
    ("job", "complete", "size", "what", "incomplete"),
    [
        ("small-1-train", 1, 50_000, "a checkpoint", "small-1-train/checkpoint-22"),
        ("small-1-train", 2, 50_000, "the student", "model"),
        ("small-2-train", 1, 50_000, "the best weights", "small-2-train/checkpoint-11"),
        ("small-1-train", 1, 5_000, "the tokenized rows", "small-1-train/train.arrow"),
    ],
)
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(
    curated, student, earlier, tmp_path, monkeypatch, capsys, job, complete, size, what, incomplete
):
    """The job is started again, or the next attempt copies the best weights of the one before."""
    for name, value in job_variables(job).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shutil.copytree(earlier, tmp_path / "checkpoints")
    checkpoints = sorted(tmp_path.glob("checkpoints/*/small-1-train/*"), key=step_of)
    for checkpoint in checkpoints[complete:]:
        shutil.rmtree(checkpoint)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # writing a larger file fails as on a full disk
    try:
        assert train(tmp_path, curated, student, **HALF_EPOCHS) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert re.match(rf"train: {what} can't be written to '{tmp_path}.*{incomplete}' \(", stderr)
    assert stderr.endswith("free disk space there and run again\n")
    assert not (tmp_path / "model" / "manifest.json").exists()
    assert train(tmp_path, curated, student, **HALF_EPOCHS) == 0
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert metrics["resumed_from_step"] == step_of(checkpoints[complete - 1])
    assert (metrics["steps"], metrics["saved_step"], metrics["ended_by"]) == (22, 22, "num_epochs")


def test_a_finished_step_deletes_its_own_checkpoints_only(curated, student, tmp_path):
    (tmp_path / "checkpoints" / "checkpoint-500-merged").mkdir(parents=True)
    (tmp_path / "checkpoints" / "checkpoint-notes.txt").write_text("lr 1e-4 was best")
    assert train(tmp_path, curated, student, num_epochs=0.1) == 0
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["checkpoint-500-merged", "checkpoint-notes.txt"]


def test_too_little_memory_ends_the_step_with_one_line(curated, tmp_path, capfd):
    student = tiny.write(tmp_path / "student", weights=False)
    write_json(student / "config.json", {**read_json(student / "config.json"), "intermediate_size": 2**48})
    assert train(tmp_path, curated, student, weights="random") == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "too little memory" in line
    assert "lower train.batch_size" in line
