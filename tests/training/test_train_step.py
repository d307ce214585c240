"""train as Azure ML starts it: taken away and started again, it ends with the student it would have had."""

import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from azdistill.contracts.files import read_json, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.train import STEP
from azdistill.steps.runner import run_step
from azdistill.steps.train import body, work_of
from azdistill.training.checkpoints import MARK
from tests.students import tiny
from tests.training.conftest import CONFIG, rows

FLAGS = {"seed": 5, "learning_rate": 3e-3, "batch_size": 8, "num_epochs": 8, "max_length": 128}


@pytest.fixture(scope="module")
def curated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    write_rows(folder / "train.jsonl", rows(160))
    write_rows(folder / "validation.jsonl", rows(12, first=160))
    close_folder(folder, "curate", {})
    return folder


def argv(folder, curated, student, **flags):
    outputs = {name: folder / name for name in STEP.outputs}
    given = {"curated": curated, "student": student, **outputs, **FLAGS, **flags}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def train(folder, curated, student, **flags):
    return run_step(STEP, body, argv(folder, curated, student, **flags))


def marked(folder):
    return {path.parent.name for path in folder.glob(f"checkpoints/*/{MARK}")}


def taken_away(folder, given, number):
    """Start the step, wait for a checkpoint that wasn't there, and send a signal. Returns exit code and stderr."""
    before, deadline = marked(folder), time.monotonic() + 120
    with subprocess.Popen([sys.executable, "-m", STEP.module, *given], stderr=subprocess.PIPE, text=True) as process:
        while not marked(folder) - before:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
    return process.returncode, told


@pytest.mark.slow
def test_twice_taken_away_the_student_is_the_same(curated, student, tmp_path, capfd):
    """SIGTERM (a preempted node) saves the step it is at; kill -9 leaves the last whole checkpoint."""
    folder = tmp_path / "run"
    code, told = taken_away(folder, argv(folder, curated, student), signal.SIGTERM)
    assert (code, told.count("\n")) == (130, 1)
    assert "stopped by SIGTERM after step" in told
    assert not (folder / "model" / "manifest.json").exists()
    code, told = taken_away(folder, argv(folder, curated, student), signal.SIGKILL)
    assert (code, told) == (-signal.SIGKILL, "")
    assert train(folder, curated, student) == 0
    assert train(tmp_path / "whole", curated, student) == 0
    resumed, whole = (read_json(place / "metrics" / "metrics.json") for place in (folder, tmp_path / "whole"))
    assert whole["resumed_from_step"] == 0 < resumed["resumed_from_step"] < resumed["steps"] == whole["steps"]
    models = [(place / "model" / "model.safetensors").read_bytes() for place in (folder, tmp_path / "whole")]
    assert models[0] == models[1]
    assert resumed["validation_loss"] == whole["validation_loss"]
    assert read_manifest(folder / "model").counts == {"parameters": whole["parameters"]}
    assert list((folder / "checkpoints").iterdir()) == []


def test_other_rows_settings_or_students_are_other_work(curated, student, tmp_path):
    """fine_tune continues a checkpoint of the same work only."""
    other_student = tiny.write(tmp_path / "student", "smollm", seed=1, attention_dropout=0.2)
    write_rows(tmp_path / "curated" / "train.jsonl", rows(8))
    close_folder(tmp_path / "curated", "curate", {})
    works = [
        work_of(CONFIG, curated, student),
        work_of(CONFIG.model_copy(update={"learning_rate": 1e-3}), curated, student),
        work_of(CONFIG, tmp_path / "curated", student),
        work_of(CONFIG, curated, other_student),
    ]
    assert len(set(works)) == 4
    assert work_of(CONFIG, curated, shutil.copytree(student, tmp_path / "copy")) == works[0]


def no_rows(curated, student):
    (curated / "manifest.json").unlink()


def broken_row(curated, student):
    (curated / "train.jsonl").write_text('{"id": 1}\n')


def no_template(curated, student):
    (student / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("harm", "flags", "said"),
    [
        (no_rows, {}, "did not finish"),
        (broken_row, {}, "train.jsonl:1: not a TrainRow"),
        (no_template, {}, "no chat_template"),
        (lambda curated, student: None, {"max_length": 16}, "train.max_length=16"),
        (lambda curated, student: None, {"learning_rate": 1}, "learning_rate='1'"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, capsys, harm, flags, said):
    curated, student = tmp_path / "curated", tiny.write(tmp_path / "student")
    for name, count in {"train.jsonl": 8, "validation.jsonl": 0}.items():
        write_rows(curated / name, rows(count))
    close_folder(curated, "curate", {})
    harm(curated, student)
    code = train(tmp_path, curated, student, **flags)
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("train: ")
    assert said in told
    assert not (tmp_path / "model" / "manifest.json").exists()


def test_a_full_disk_is_said_and_half_a_checkpoint_is_not_continued(curated, student, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # a file that grows beyond it fails as on a full disk
    try:
        assert train(tmp_path, curated, student, num_epochs=1) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith(
        f"train: training: a checkpoint can't be written to '{tmp_path}/checkpoints/checkpoint-22' ("
    )
    assert told.endswith("make room there and run again\n")
    assert train(tmp_path, curated, student, num_epochs=1) == 0
    assert read_json(tmp_path / "metrics" / "metrics.json")["resumed_from_step"] == 0
