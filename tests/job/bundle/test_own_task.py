"""A job with a custom task: checked with the job, staged once, and read only by the steps that need it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Completion, Prediction, Prompt, TokenUsage
from azdistill.engine.pipeline.checks import pipeline_problems
from azdistill.engine.pipeline.expressions import PipelineInput
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.job.bundle import compile_job
from azdistill.job.loading import check_job, load_job
from azdistill.job.model import DistillationJob
from tests.job.bundle.test_bundle import SPEC, content

TASK = """\
from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case


def case(record):
    return Case(ask(required(record, "mail")), optional(record, "verdict"))


def answer(text):
    words = {"ham", "spam"} & set(text.casefold().split())
    return words.pop() if len(words) == 1 else None


def correct(answer, reference):
    return answer == reference
"""

READERS = {"prepare", "teacher", "curate", "evaluate"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "student").mkdir()
    (tmp_path / "rows").mkdir()
    (tmp_path / "student/config.json").write_text("{}")
    rows = [{"mail": f"offer {number}", "verdict": "spam" if number % 2 else "ham"} for number in range(40)]
    (tmp_path / "rows/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mails.py").write_text(TASK)
    (tmp_path / "job.yaml").write_text(SPEC.replace("task: conversation", "task: ./mails.py"))
    return tmp_path / "job.yaml"


def test_the_file_is_an_input_of_the_steps_that_use_the_task(spec: Path, tmp_path: Path) -> None:
    pipeline = load_pipeline(compile_job(load_job(spec), tmp_path / "bundle"))
    readers = {name for name, node in pipeline.nodes.items() if PipelineInput("task_file") in node.inputs.values()}
    assert readers == READERS
    assert {name for name, node in pipeline.nodes.items() if node.inputs.get("task") == "own"} == READERS
    assert (tmp_path / "bundle/inputs/task_file.py").read_text() == TASK
    assert pipeline_problems(pipeline) == []


def test_an_edit_of_the_file_changes_nothing_else_in_the_bundle(spec: Path, tmp_path: Path) -> None:
    compile_job(load_job(spec), tmp_path / "a")
    (tmp_path / "mails.py").write_text(TASK.replace("ham", "jam"))
    compile_job(load_job(spec), tmp_path / "b")
    before, after = content(tmp_path / "a"), content(tmp_path / "b")
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["inputs/task_file.py"]


def test_a_wrong_task_file_is_a_finding_of_the_job_with_the_line_of_the_file(spec: Path) -> None:
    (spec.parent / "mails.py").write_text(f"import requests\n{TASK}".replace("answer, reference", "answer"))
    spec.write_text(spec.read_text() + "train:\n  learning_rate: 7\n")
    job, problems = check_job(spec)
    assert job is None
    assert [(problem.file.name, problem.line) for problem in problems] == [
        ("job.yaml", 12),
        ("mails.py", 1),
        ("mails.py", 15),
    ]
    assert problems[2].text == "correct(answer) cannot be called with 2 arguments; define correct(answer, reference)"


def test_a_task_file_that_is_not_there_is_a_finding_of_the_job(spec: Path) -> None:
    spec.write_text(spec.read_text().replace("./mails.py", "./mail.py"))
    job, problems = check_job(spec)
    assert job is None
    assert [problem.text for problem in problems] == ["task='./mail.py': no such file; did you mean ./mails.py?"]


def test_a_job_built_in_python_is_checked_before_a_bundle_is_written(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "mails.py").write_text("def case(record): ...\n")
    job = DistillationJob.model_validate(load_spec(tmp_path))
    with pytest.raises(SpecError, match=r"mails\.py:1: function answer is missing; define answer\(text\)"):
        compile_job(job, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def load_spec(folder: Path) -> dict[str, object]:
    return {
        "task": str(folder / "mails.py"),
        "data": {"training_data": str(folder / "rows/train.jsonl")},
        "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]},
        "student": {"model": str(folder / "student")},
    }


Run = Callable[..., Path]


@pytest.fixture
def run(spec: Path, tmp_path: Path) -> Run:
    """A step as a process in its snapshot, as Azure ML starts it; returns its output."""
    bundle = compile_job(load_job(spec), tmp_path / "bundle").parent

    def step(name: str, output: str, **inputs: Path) -> Path:
        ports = {**inputs, output: tmp_path / output, "task_file": bundle / "inputs/task_file.py"}
        options = [option for port, path in ports.items() for option in (f"--{port.replace('_', '-')}", str(path))]
        command = [sys.executable, "-m", f"azdistill.steps.{name}", "--task", "own", *options]
        done = subprocess.run(
            command, cwd=bundle / f"components/{name}/code", capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return tmp_path / output

    return step


@pytest.mark.slow
def test_the_steps_of_a_bundle_read_the_task_in_their_snapshots(run: Run, tmp_path: Path) -> None:
    prompts = run("prepare", "prompts", training_data=tmp_path / "bundle/inputs/training_data.jsonl")
    rows = list(read_rows(prompts / "prompts.jsonl", Prompt))
    completions = answered(tmp_path / "completions", rows)
    run("curate", "curated", completions=completions)
    assert read_json(tmp_path / "curated/drops.json")["dropped"] == {"unparseable": 1}
    predictions = {
        who: predicted(tmp_path / who, rows, text) for who, text in (("student", "spam"), ("baseline", "hm"))
    }
    run("evaluate", "evaluation", prompts=prompts, completions=completions, **predictions)
    metrics = read_json(tmp_path / "evaluation/metrics.json")
    assert metrics["task"] == "own"
    assert metrics["models"]["teacher"]["accuracy"]["value"] == 1.0
    assert metrics["models"]["baseline"]["answered"] == 0


def answered(folder: Path, prompts: list[Prompt]) -> Path:
    """Completions of a teacher that is right, except for one training row with an ambiguous answer."""
    answers = [f"it is {row.gold}" for row in prompts]
    answers[next(number for number, row in enumerate(prompts) if row.split == "train")] = "ham or spam"
    rest = {"finish_reason": "stop", "teacher": "t", "key": "0" * 64, "usage": TokenUsage()}
    rows = [Completion(**row.model_dump(), completion=text, **rest) for row, text in zip(prompts, answers, strict=True)]
    write_rows(folder / "completions.jsonl", rows)
    close_folder(folder, "teacher", {})
    return folder


def predicted(folder: Path, prompts: list[Prompt], text: str) -> Path:
    tests = [row for row in prompts if row.split == "test"]
    write_rows(folder / "predictions.jsonl", [Prediction(id=row.id, completion=text, truncated=False) for row in tests])
    close_folder(folder, "predict", {})
    return folder
