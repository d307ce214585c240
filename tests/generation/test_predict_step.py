"""predict as Azure ML starts it: a process with folders and flags."""

import subprocess
import sys

import pytest

from azdistill.contracts.files import read_json, read_rows, write_rows
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
    given = {"model": model, "prompts": prompts, "predictions": folder / "predictions", **flags}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def test_the_test_rows_are_answered(tmp_path, prompts):
    model = tiny.write(tmp_path / "student", weights=False)
    given = argv(tmp_path, model, prompts, weights="random", max_new_tokens=4, latency_rows=1)
    command = [sys.executable, "-m", STEP.module, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("predict: 4/4 (")
    answers = list(read_rows(tmp_path / "predictions" / "predictions.jsonl", Prediction))
    assert [answer.id for answer in answers] == [prompt(number, "test").id for number in (0, 1, 3, 4)]
    assert read_json(tmp_path / "predictions" / "profile.json")["rows"] == 4
    truncated = sum(answer.truncated for answer in answers)
    assert read_manifest(tmp_path / "predictions").counts == {"rows": 4, "truncated": truncated}


def broken_config(model, prompts):
    (model / "config.json").write_text("{")


def no_prompts(model, prompts):
    (prompts / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("harm", "flags", "said"),
    [
        (lambda model, prompts: None, {}, "no *.safetensors beside config.json"),
        (broken_config, {"weights": "random"}, "not a valid JSON file"),
        (no_prompts, {}, "did not finish"),
        (lambda model, prompts: None, {"max_new_tokens": 0}, "max_new_tokens='0'"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_folder_that_looks_whole(tmp_path, prompts, capsys, harm, flags, said):
    model = tiny.write(tmp_path / "student", weights=False)
    harm(model, prompts)
    code = run_step(STEP, body, argv(tmp_path, model, prompts, **flags))
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("predict: ")
    assert said in told
    assert not (tmp_path / "predictions" / "manifest.json").exists()
