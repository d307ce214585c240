"""Answers of three models to a few test rows, in memory and as the folders that steps leave."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from azdistill.contracts.evaluate import STEP
from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Completion, Message, Prediction, Prompt, TokenUsage
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.steps.evaluate import body
from azdistill.steps.runner import run_step

MESSAGES = (Message(role="user", content="Does it?"),)


def prompt(number, gold="neutral", split="test"):
    return Prompt(id=f"{number:016x}", split=split, messages=MESSAGES, gold=gold, source=f"test.jsonl:{number}")


def completion(number, text="neutral", finish_reason="stop", split="test", gold="neutral"):
    return Completion(
        **prompt(number, gold, split).model_dump(),
        completion=text,
        finish_reason=finish_reason,
        teacher="deepseek-v3",
        key="0" * 64,
        usage=TokenUsage(),
    )


def prediction(number, text="neutral", truncated=False):
    return Prediction(id=f"{number:016x}", completion=text, truncated=truncated)


def row_of(gold, teacher, baseline, student, number=1):
    """One row with the answers of the models; None is an answer that was cut off."""
    texts = {"teacher": teacher, "baseline": baseline, "student": student}
    answers = {role: AnswerText() if text is None else AnswerText(text, complete=True) for role, text in texts.items()}
    return EvaluationRow(f"{number:016x}", gold, answers)


@pytest.fixture
def build():
    """Functions that build rows."""
    return SimpleNamespace(prompt=prompt, completion=completion, prediction=prediction, row=row_of)


@pytest.fixture
def folders(tmp_path):
    """Write the folders that evaluate reads: the teacher right on all rows, the student on nine of ten."""

    def write(rows=200, **changed):
        numbers = range(1, rows + 1)
        files = {
            "prompts": ("prompts.jsonl", [prompt(n) for n in numbers]),
            "completions": ("completions.jsonl", [completion(n) for n in numbers]),
            "student": (
                "predictions.jsonl",
                [prediction(n, "entailment" if n % 10 == 0 else "neutral") for n in numbers],
            ),
            "baseline": ("predictions.jsonl", [prediction(n, "I can't say") for n in numbers]),
        }
        for name, (file, default_rows) in files.items():
            write_rows(tmp_path / name / file, changed.get(name, default_rows))
            close_folder(tmp_path / name, name, {})
        return {name: tmp_path / name for name in files}

    return write


@pytest.fixture
def evaluate_step(tmp_path, capsys):
    """Run evaluate with folders and flags: in this process, or with `process` in its own, as Azure ML starts it."""

    def run(inputs, gates=None, output="evaluation", process=False, **flags):
        folder = tmp_path / output
        if gates is not None:
            flags["gates"] = tmp_path / "gates.json"
            flags["gates"].write_text(json.dumps(gates))
        arguments = {**inputs, "evaluation": folder, "task": "nli", **flags}
        argv = [word for name, value in arguments.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        if process:
            command = [sys.executable, "-m", "azdistill.steps.evaluate", *argv]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, folder=folder)
        capsys.readouterr()
        code = run_step(STEP, body, argv)
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict(), folder=folder)

    return run
