"""The predict step as Azure ML runs it: a process with folders and flags."""

import subprocess
import sys

import pytest

from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.gpus import AZURE_ML_RUN, REQUIRED_GPUS
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.predict import STEP
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.steps.predict import body
from azdistill.steps.runner import run_step
from tests.students import tiny


def prompt(number, split):
    return Prompt(id=f"{number:016x}", split=split, messages=tiny.turns(f"n{number}?"), source=f"p:{number}")


@pytest.fixture
def prompts(tmp_path):
    rows = [prompt(number, "train" if number == 2 else "test") for number in range(5)]
    write_rows(tmp_path / "prompts" / "prompts.jsonl", rows)
    close_folder(tmp_path / "prompts", "prepare", {})
    return tmp_path / "prompts"


def argv(folder, model, prompts, **flags):
    values = {"model": model, "prompts": prompts, "predictions": folder / "predictions", **flags}
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def test_the_test_rows_are_answered(tmp_path, prompts):
    model = tiny.write(tmp_path / "student", weights=False)
    flags = argv(tmp_path, model, prompts, weights="random", max_new_tokens=4, latency_rows=1)
    command = [sys.executable, "-m", STEP.module, *flags]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("predict: 4/4 (")
    predictions = list(read_rows(tmp_path / "predictions" / "predictions.jsonl", Prediction))
    assert [row.id for row in predictions] == [prompt(number, "test").id for number in (0, 1, 3, 4)]
    assert read_json(tmp_path / "predictions" / "profile.json")["rows"] == 4
    truncated = sum(row.truncated for row in predictions)
    assert read_manifest(tmp_path / "predictions").counts == {"rows": 4, "truncated": truncated}


def test_a_rented_gpu_that_cannot_be_used_stops_the_step_before_any_work(tmp_path, prompts, monkeypatch, capfd):
    monkeypatch.setenv(AZURE_ML_RUN, "run-1")
    monkeypatch.setenv(REQUIRED_GPUS, "99")
    model = tiny.write(tmp_path / "student", weights=False)
    assert run_step(STEP, body, argv(tmp_path, model, prompts, weights="random")) == 1
    assert capfd.readouterr().err.startswith(f"predict: {REQUIRED_GPUS}=99: torch ")
    assert not (tmp_path / "predictions").exists()


def break_config(model, prompts):
    (model / "config.json").write_text("{")


def remove_manifest(model, prompts):
    (prompts / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "flags", "message"),
    [
        (lambda model, prompts: None, {}, "no *.safetensors next to config.json"),
        (break_config, {"weights": "random"}, "not a valid JSON file"),
        (remove_manifest, {}, "no manifest.json"),
        (lambda model, prompts: None, {"max_new_tokens": 0}, "max_new_tokens='0'"),
    ],
)
def test_wrong_input_is_one_line_and_the_output_is_incomplete(tmp_path, prompts, capsys, harm, flags, message):
    model = tiny.write(tmp_path / "student", weights=False)
    harm(model, prompts)
    code = run_step(STEP, body, argv(tmp_path, model, prompts, **flags))
    stderr = capsys.readouterr().err
    assert (code, stderr.count("\n")) == (2, 1)
    assert stderr.startswith("predict: ")
    assert message in stderr
    assert not (tmp_path / "predictions" / "manifest.json").exists()
