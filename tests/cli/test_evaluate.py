"""azdistill evaluate: endpoints, folders, several models on the same rows, and wrong input."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import AzdistillError, DataError, EndpointError, InputError
from azdistill.contracts.evaluation import ModelEvaluation
from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import Provenance, close_folder, open_folder
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.results import read_result
from azdistill.contracts.rows import Message, Prompt
from azdistill.local_runs.evaluate import EvaluationSettings, evaluate_models, read_task
from azdistill.local_runs.models import FolderModel, find_model
from tests.cli.conftest import Command
from tests.students import tiny
from tests.teacher.conftest import simulate

__all__ = ["simulate"]

ECHO = "You said: {}"


def write_lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def ask(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


@pytest.fixture
def rows(folder: Path) -> Path:
    """Twenty rows, of which the simulated teacher answers fifteen as the reference says."""
    golds = [ECHO.format(number) if number < 15 else "something else" for number in range(20)]
    return write_lines(folder / "rows.jsonl", [ask(str(number), gold=gold) for number, gold in enumerate(golds)])


def test_an_endpoint_is_measured_and_its_answers_are_bought_once(
    azdistill: Command, simulate: Any, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", "secret-of-the-endpoint")
    teacher, url = simulate(key="secret-of-the-endpoint")
    command = ["evaluate", "--model", f"big@{url}/v1?deployment=abc", "--key-variable", "THE_KEY", "--data", rows]
    done = azdistill(*command, "--metrics", "accuracy,bleu_score,inference_time", "--json", "-o", "out")
    assert done.code == 0, done.err
    evaluation = ModelEvaluation.model_validate_json(done.out)
    assert list(evaluation.metrics) == ["accuracy", "bleu_score", "inference_time"]
    (model,) = evaluation.models
    accuracy = model.metrics.interval("accuracy")
    assert (evaluation.rows, accuracy.value) == (20, 0.75)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.531, 0.888), abs=0.001)  # Wilson's
    assert (model.metrics.value("latency_p50_s") or 0) > 0
    assert model.name == f"big@{url}/v1"
    assert read_result(Path("out/metrics.json"), ModelEvaluation) == evaluation
    assert len(Path("out/1/predictions.jsonl").read_text().splitlines()) == 20
    calls = teacher.calls["answered"]
    again = azdistill(*command)
    assert (again.code, teacher.calls["answered"]) == (0, calls)
    assert "75.0% [53.1, 88.8]" in again.out
    assert "20 rows of " in again.out
    written = "".join(path.read_text() for path in Path().rglob("*") if path.is_file())
    assert "secret-of-the-endpoint" not in written + done.out + done.err + again.out


def test_models_are_compared_on_the_same_rows(azdistill: Command, simulate: Any, rows: Path) -> None:
    (_, wrong), (_, right) = simulate(wrong_rate=1.0), simulate()
    done = azdistill(
        "evaluate", "--baseline", f"old@{wrong}", "-m", f"new@{right}", "-d", rows, "--metrics", "accuracy"
    )
    assert done.code == 0, done.err
    table = " ".join(done.out.replace("│", " ").split())
    assert "accuracy 0.0% [0.0, 16.1] 75.0% [53.1, 88.8]" in table
    assert "difference better: 0.750 [" in table
    assert "are paired: all models answered the same rows" in table


def test_the_first_rows_without_duplicates_and_with_a_reference_count(azdistill: Command, simulate: Any) -> None:
    _, url = simulate()
    rows = [ask("a", gold="x"), ask("a", gold="x"), ask("b"), ask("c", gold=ECHO.format("c")), ask("d", gold="x")]
    write_lines(Path("rows.jsonl"), rows)
    done = azdistill("evaluate", "-m", url, "-d", "rows.jsonl", "--rows", "4")
    assert done.code == 0, done.err
    assert "2 rows of rows.jsonl (1 duplicates, 1 without a reference left out), task conversation" in done.out
    done = azdistill("evaluate", "-m", url, "-d", "rows.jsonl", "--rows", "1")
    assert (done.code, "one row shows nothing about other rows" in done.out) == (0, True)


def test_the_task_of_a_run_is_the_default(azdistill: Command, simulate: Any) -> None:
    _, url = simulate()
    run = Path("runs/first")
    made = Provenance(config={"task": "nli", "labels": "yes,no"})
    close_folder(open_folder(run / "evaluate/evaluation"), "evaluate", {}, made)
    prompts = [
        Prompt(id=text, split=split, messages=(Message(role="user", content=text),), gold="yes", source="rows.jsonl:1")
        for text, split in (("yes", "test"), ("no", "test"), ("perhaps", "test"), ("all", "train"))
    ]
    write_rows(run / "prepare/prompts/prompts.jsonl", prompts)
    done = azdistill("evaluate", "-m", url, "-d", "runs/first", "--metrics", "accuracy,answered", "--json")
    assert done.code == 0, done.err
    evaluation = ModelEvaluation.model_validate_json(done.out)
    assert (evaluation.task, evaluation.rows) == ("nli", 3)
    assert evaluation.models[0].metrics.value("accuracy") == pytest.approx(1 / 3, abs=1e-6)  # `You said: yes`
    assert evaluation.models[0].metrics.value("answered") == 2  # `You said: perhaps` is not valid
    done = azdistill("evaluate", "-m", url, "-d", "first", "--task", "conversation", "--json")
    assert ModelEvaluation.model_validate_json(done.out).task == "conversation"


GOLDS = [
    ([{"gold": ECHO.format("a")}, {"gold": ["no", ECHO.format("b")]}], 1.0),
    ([{"id": 8, "gold": ECHO.format("b")}, {"id": 7, "gold": "no"}], 0.5),
]


@pytest.mark.parametrize(("golds", "accuracy"), GOLDS)
def test_references_may_be_in_a_file_of_their_own(folder: Path, simulate: Any, golds: Any, accuracy: float) -> None:
    _, url = simulate()
    data = write_lines(folder / "rows.jsonl", [ask("a", id=7, gold="replaced"), ask("b", id=8)])
    gold = write_lines(folder / "gold.jsonl", golds)
    evaluation = evaluate_models([find(url)], data, EvaluationSettings(metrics=["accuracy"]), gold)
    assert evaluation.models[0].metrics.value("accuracy") == accuracy


def find(text: str, **arguments: Any) -> Any:
    return find_model(text, lambda: pytest.fail("no workspace is needed"), **arguments)


def never(*_: Any) -> Any:
    pytest.fail("the model was asked before its input was checked")


class Unasked:
    name = "unasked"
    answer = staticmethod(never)


NLI = [{"premise": "a", "hypothesis": str(number)} for number in range(2)]
MATH = [ask("1+1", gold="2", id=1), ask("2+2", gold="4", id=2)]
# Rows, references, task, metrics; code, file and line of the problem.
WRONG_DATA = [
    ([ask("a")], None, "conversation", None, "no_reference", "rows.jsonl", 0),
    ([], None, "conversation", None, "invalid_data", "rows.jsonl", 0),
    ([{"text": "a"}] * 3, None, "conversation", None, "too_many_rejects", "rows.jsonl", 0),
    (NLI, [{"gold": "entailment"}, {"gold": "42"}], "nli", None, "other_task", "gold.jsonl", 2),
    (MATH, [{"gold": "entailment"}, {"gold": "neutral"}], "math", None, "other_task", "gold.jsonl", 1),
    (MATH, [{"gold": "2"}], "math", None, "other_rows", "gold.jsonl", 0),
    (MATH, [{"gold": "2", "id": 8}, {"gold": "2", "id": 9}], "math", None, "other_rows", "gold.jsonl", 0),
    (MATH, [{"gold": "2", "id": 1}, {"gold": "4", "id": 1}], "math", None, "duplicate_ids", "gold.jsonl", 2),
    ([*MATH, ask("3+3", id=2)], [{"gold": "2", "id": 1}] * 1, "math", None, "duplicate_ids", "rows.jsonl", 3),
    (MATH, [{"answer": "2"}, {"gold": "4"}], "math", None, "no_reference", "gold.jsonl", 1),
    (MATH, None, "math", ["acuracy"], "unknown_metric", None, 0),
    (MATH, None, "math", ["accuracy", "missing.py"], "unreadable_file", "missing.py", 0),
]


@pytest.mark.parametrize(("rows", "golds", "task", "metrics", "code", "file", "line"), WRONG_DATA)
def test_wrong_data_is_named_before_a_model_is_asked(
    folder: Path, rows: Any, golds: Any, task: str, metrics: Any, code: str, file: str | None, line: int
) -> None:
    data = write_lines(folder / "rows.jsonl", rows)
    gold = None if golds is None else write_lines(folder / "gold.jsonl", golds)
    settings = EvaluationSettings(task=read_task(task).task, metrics=metrics)
    with pytest.raises(InputError) as caught:
        evaluate_models([Unasked()], data, settings, gold)
    (problem,) = caught.value.problems
    assert (problem.code, problem.file and Path(problem.file).name, problem.line or 0) == (code, file, line)
    assert "\n" not in str(caught.value)
    if code == "unknown_metric":
        assert (problem.value, problem.fix) == ("acuracy", "did you mean 'accuracy'?")


METRIC_FILES = {
    "raises.py": ("def score(answer, references):\n    return 1 / 0\n", "task_failed", 2),
    "nan.py": ("def score(answer, references):\n    return float('nan')\n", "wrong_result", 0),
    "none.py": ("value = 1\n", "missing_function", 1),
}


@pytest.mark.parametrize("name", METRIC_FILES)
def test_a_metric_file_that_fails_is_named(folder: Path, simulate: Any, rows: Path, name: str) -> None:
    text, code, line = METRIC_FILES[name]
    (folder / name).write_text(text)
    _, url = simulate()
    with pytest.raises(InputError) as caught:
        evaluate_models([find(url)], rows, EvaluationSettings(metrics=[name]))
    (problem,) = caught.value.problems
    assert (problem.code, Path(problem.file or "").name, problem.line or 0) == (code, name, line)


def test_a_metric_of_ones_own_has_the_name_that_was_requested(folder: Path, simulate: Any, rows: Path) -> None:
    (folder / "length.py").write_text("def score(answer, references):\n    return len(answer) == len('You said: 1')\n")
    _, url = simulate()
    evaluation = evaluate_models([find(url)], rows, EvaluationSettings(metrics=["./length.py"]))
    assert evaluation.metrics == {"./length.py": "own"}
    assert evaluation.models[0].metrics.value("own") == 0.5


WRONG_MODELS = [
    ("./none", "missing_file", InputError),
    ("empty", "no_model", InputError),
    ("models:/support-student/1", "other_registry", InputError),
    ("https://me:pw@teacher.example/v1", "secret_in_url", InputError),
    ("https://x.openai.azure.com/embeddings", "other_api", InputError),
]


@pytest.mark.parametrize(("text", "code", "error"), WRONG_MODELS)
def test_a_model_that_is_none_is_named(folder: Path, text: str, code: str, error: type[AzdistillError]) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(error) as caught:
        find(text)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert "pw" not in str(caught.value)


def test_an_endpoint_that_refuses_is_one_line(azdistill: Command, simulate: Any, rows: Path) -> None:
    _, url = simulate(key="right")
    with pytest.raises(EndpointError):
        evaluate_models([find(url)], rows, EvaluationSettings())
    done = azdistill("evaluate", "-m", url, "-d", rows)
    assert (done.code, done.out) == (1, "")
    assert "401" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_a_model_is_named_once(azdistill: Command, simulate: Any, rows: Path) -> None:
    _, url = simulate()
    done = azdistill("evaluate", "-m", url, "-m", url, "-d", rows)
    assert (done.code, "is named twice" in done.err) == (2, True)


def test_an_azure_endpoint_without_a_key_gets_an_entra_token() -> None:
    model = find("deepseek-v3@https://res.services.ai.azure.com/openai/v1")
    (teacher,) = model.config.teachers
    assert (teacher.model, teacher.entra_scope) == ("DeepSeek-V3.2", "https://cognitiveservices.azure.com/.default")
    assert find("https://vllm.example/v1").config.teachers[0].entra_scope is None


@pytest.mark.slow
def test_a_folder_answers_in_a_process_of_its_own_as_in_this_one(tmp_path: Path) -> None:
    from azdistill.generation.predict import predict
    from azdistill.students.loading import load_student

    model = tiny.write(tmp_path / "model")
    prompts = [
        Prompt(id=str(number), split="train", messages=(Message(role="user", content=f"q {number}"),), source="r:1")
        for number in range(3)
    ]
    config = PredictConfig(max_new_tokens=4, latency_rows=1)
    answers = FolderModel("tiny", model).answer(prompts, config, tmp_path / "out")
    expected, profile = predict(load_student(model), prompts, config)
    assert list(answers.predictions) == expected
    assert answers.profile["parameters"] == profile.parameters
    (model / "config.json").write_text("{}")
    with pytest.raises(DataError) as caught:
        FolderModel("tiny", model).answer(prompts, config, tmp_path / "out")
    assert [problem.code for problem in caught.value.problems] == ["unusable_model"]
