"""The predict step as Azure ML runs it: a process with folders and flags."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.files import read_json, read_rows, write_json, write_rows
from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.predict import STEP
from azdistill.contracts.rows import Completion, Prediction, Prompt, TokenUsage
from azdistill.contracts.suites import SuiteRow
from azdistill.steps.predict import body, reference_answers
from azdistill.steps.runner import run_step
from tests.job_variables import job_variables
from tests.students import tiny


def prompt(number, split):
    return Prompt(id=f"{number:016x}", split=split, messages=tiny.turns(f"n{number}?"), source=f"p:{number}")


def write_prompts(folder):
    rows = [prompt(number, "train" if number == 2 else "test") for number in range(5)]
    write_rows(folder / "prompts" / "prompts.jsonl", rows)
    close_folder(folder / "prompts", "prepare", {})
    return folder / "prompts"


@pytest.fixture
def prompts(tmp_path):
    return write_prompts(tmp_path)


def argv(folder, model, prompts, **flags):
    values = {"model": model, "prompts": prompts, "predictions": folder / "predictions", **flags}
    return [text for name, value in values.items() for text in (f"--{name.replace('_', '-')}", str(value))]


def test_the_test_rows_are_answered(tmp_path, prompts):
    model = tiny.write(tmp_path / "student", weights=False)
    flags = argv(tmp_path, model, prompts, weights="random", max_new_tokens=4, latency_rows=1)
    command = [sys.executable, "-m", STEP.module, *flags]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    assert "predict: 4/4 (" in process.stdout
    predictions = list(read_rows(tmp_path / "predictions" / "predictions.jsonl", Prediction))
    assert [row.id for row in predictions] == [prompt(number, "test").id for number in (0, 1, 3, 4)]
    assert read_json(tmp_path / "predictions" / "profile.json")["rows"] == 4
    truncated = sum(row.truncated for row in predictions)
    assert read_manifest(tmp_path / "predictions").counts == {"rows": 4, "truncated": truncated}


def test_rows_of_suites_are_answered_once_and_do_not_count_for_the_profile(tmp_path, prompts):
    """A row of a suite that equals a test row has its answer; a row of two suites has one."""
    rows = [
        SuiteRow(**prompt(number, "test").model_dump(), suite=suite)
        for number, suite in ((0, "first"), (7, "first"), (7, "second"))
    ]
    write_rows(tmp_path / "regressions" / "suites.jsonl", rows)
    close_folder(tmp_path / "regressions", "regression", {})
    model = tiny.write(tmp_path / "student")
    settings = {"regressions": tmp_path / "regressions", "max_new_tokens": 4, "latency_rows": 0}
    assert run_step(STEP, body, argv(tmp_path, model, prompts, **settings)) == 0
    predictions = list(read_rows(tmp_path / "predictions" / "predictions.jsonl", Prediction))
    first, second = read_rows(tmp_path / "predictions" / "suites.jsonl", Prediction)
    assert [row.id for row in (first, second)] == [rows[0].id, rows[1].id]
    assert (first.completion, first.truncated) == (predictions[0].completion, predictions[0].truncated)
    assert read_json(tmp_path / "predictions" / "profile.json")["rows"] == len(predictions) == 4
    assert read_manifest(tmp_path / "predictions").counts["suite_rows"] == 2


# Runs the step, which writes a file after each answer, and kills it at the second one.
KILLED = """
import os, signal, sys
from azdistill.generation import unfinished
from azdistill.steps import predict

class Killed(unfinished.UnfinishedAnswers):
    def write(self):
        super().write()
        if self._files == 2:
            os.kill(os.getpid(), signal.SIGKILL)

unfinished.EVERY, unfinished.UnfinishedAnswers = 0.0, Killed
predict.run_step(predict.STEP, predict.body, sys.argv[1:])
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The flags of a step that was killed after two answers."""
    folder = tmp_path_factory.mktemp("killed")
    model, prompts = tiny.write(folder / "student"), write_prompts(folder)
    flags = argv(folder, model, prompts, batch_size=1, max_new_tokens=6, latency_rows=0)
    process = subprocess.run([sys.executable, "-c", KILLED, *flags], capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert [path.name for path in unfinished_files(folder)] == ["000001.answers", "000002.answers"]
    assert not (folder / "predictions" / "manifest.json").exists()
    return flags


@pytest.fixture
def interrupted(killed, tmp_path):
    """A copy of that step's files, and its flags."""
    folder = shutil.copytree(Path(killed[1]).parent, tmp_path / "copy")
    return folder, [text.replace(str(Path(killed[1]).parent), str(folder)) for text in killed]


def unfinished_files(folder):
    return sorted((folder / "predictions" / "unfinished").glob("*.answers"))


def continued(flags, capfd):
    """Number of the answers that were not generated again."""
    assert run_step(STEP, body, flags) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if "interrupted" in line]
    return int(lines[0].split()[1]) if lines else 0


def test_a_killed_step_continues_with_the_answers_that_it_has_written(interrupted, tmp_path, capfd):
    folder, flags = interrupted
    assert continued(flags, capfd) == 2
    finished, other = folder / "predictions", tmp_path / "other"
    assert {path.name for path in finished.iterdir()} == {"manifest.json", "predictions.jsonl", "profile.json"}
    flags[flags.index("--predictions") + 1] = str(other)
    assert continued(flags, capfd) == 0
    assert (finished / "predictions.jsonl").read_bytes() == (other / "predictions.jsonl").read_bytes()
    profiles = [read_json(path / "profile.json") for path in (finished, other)]
    assert profiles[0]["generated_tokens"] == profiles[1]["generated_tokens"] > 0
    assert profiles[0]["seconds"] > 0


def change_model(folder, flags):
    (folder / "student" / "generation_config.json").write_text('{"eos_token_id": [2, 4]}')


def change_settings(folder, flags):
    flags[flags.index("--max-new-tokens") + 1] = "5"


def cut_a_file(folder, flags):
    file = unfinished_files(folder)[0]
    file.write_bytes(file.read_bytes()[:-9])


def change_a_token(folder, flags):
    file = unfinished_files(folder)[0]
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "kept"), [(change_model, 0), (change_settings, 0), (cut_a_file, 1), (change_a_token, 1)]
)
def test_answers_of_another_model_or_setting_and_damaged_files_are_not_used(interrupted, capfd, harm, kept):
    harm(*interrupted)
    assert continued(interrupted[1], capfd) == kept
    assert read_manifest(interrupted[0] / "predictions").counts["rows"] == 4


def completion(row, text, finish_reason):
    fields = row.model_dump(exclude={"weight"})
    return Completion(**fields, completion=text, finish_reason=finish_reason, teacher="t", key="k", usage=TokenUsage())


def test_references_are_golds_or_else_the_complete_answers_of_the_teacher(tmp_path, prompts):
    rows = list(read_rows(prompts / "prompts.jsonl", Prompt))
    reasons = ("stop", "length", "stop", "stop", "stop")
    answers = [completion(row, f"answer {row.source}", reason) for row, reason in zip(rows, reasons, strict=True)]
    write_rows(tmp_path / "completions.jsonl", answers)
    tests = [row for row in rows if row.split == "test"]
    assert reference_answers(tests, tmp_path) == {rows[number].id: f"answer p:{number}" for number in (0, 3, 4)}
    assert reference_answers(tests, None) == {}
    tests[1] = tests[1].model_copy(update={"gold": ("one", "two")})
    assert reference_answers(tests, tmp_path) == {tests[1].id: "one"}


def test_a_rented_gpu_that_cannot_be_used_stops_the_step_before_any_work(tmp_path, prompts, monkeypatch, capfd):
    for name, value in job_variables().items():
        monkeypatch.setenv(name, value)
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


def test_too_little_memory_ends_the_step_with_one_line(tmp_path, prompts, capfd):
    model = tiny.write(tmp_path / "student", weights=False)
    write_json(model / "config.json", {**read_json(model / "config.json"), "intermediate_size": 2**48})
    assert run_step(STEP, body, argv(tmp_path, model, prompts, weights="random")) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "too little memory" in line
    assert "lower predict.batch_size" in line
