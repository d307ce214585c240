"""A metric of one's own: what its file must define, what it scores, and how its errors are reported."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError, SpecError
from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate
from azdistill.job.bundle import compile_job
from azdistill.job.loading import check_job, load_job
from azdistill.metrics.registry import metric_named

ORDER = """\
def score(answer, references):
    return float(any(word in answer for text in references for word in text.split() if word.isdigit()))
"""

CONFIG = EvaluateConfig(task="conversation", resamples=200, primary_metric="own")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "order_number.py"
    path.write_text(ORDER)
    return path


def row(number: int, student: str | None) -> EvaluationRow:
    gold = f"Order {number} is refunded."
    texts = {"teacher": gold, "baseline": "the the", "student": student}
    answers = {role: AnswerText() if text is None else AnswerText(text, complete=True) for role, text in texts.items()}
    return EvaluationRow(str(number), gold, answers)


def test_it_is_compared_and_gated_like_any_other(file: Path) -> None:
    rows = [row(n, f"Your order {n} has been refunded" if n % 10 else None) for n in range(100, 200)]
    config = CONFIG.model_copy(update={"gates": Gates(min_retention=0.8, min_gain=0.7, metrics={"own": 0.7})})
    metrics = evaluate(rows, config, metric_file=file).metrics
    assert metrics.primary_metric == metric_named("own").name == "own"
    assert {role: model.value("own") for role, model in metrics.models.items()} == {
        "teacher": 1,
        "baseline": 0,
        "student": 0.9,
    }
    assert (metrics.retention.value, metrics.gain.value, decide(metrics, config).decision) == (0.9, 0.9, "passed")


def test_rows_that_do_not_count_are_left_out_in_pairs(file: Path) -> None:
    file.write_text("def score(answer, references):\n    return None if 'skip' in answer else 'Order' in answer\n")
    rows = [row(1, "Order 1"), row(2, "skip"), row(3, "no")]
    metrics = evaluate(rows, CONFIG, metric_file=file).metrics
    assert (metrics.rows, metrics.unscored) == (2, 1)
    assert (metrics.models["student"].value("own"), metrics.retention.value) == (0.5, 0.5)
    assert metrics.models["teacher"].value("own") == 1


@pytest.mark.parametrize(
    ("body", "code", "line", "message"),
    [
        ("return 1 / 0", "task_failed", 2, "ZeroDivisionError: division by zero in score('Order 7"),
        ("return float('nan')", "wrong_result", 0, "score('Order 7"),
        ("return 7", "wrong_result", 0, "score('Order 7"),
        ("return 'good'", "wrong_result", 0, "score('Order 7"),
        ("import numpy", "import_not_allowed", 2, "import numpy is not allowed"),
    ],
)
def test_an_error_names_the_file_and_the_text(file: Path, body: str, code: str, line: int, message: str) -> None:
    file.write_text(f"def score(answer, references):\n    {body}\n")
    with pytest.raises(InputError) as raised:
        evaluate([row(7, "Order 7")], CONFIG, metric_file=file)
    (problem,) = raised.value.problems
    assert (problem.code, problem.file, problem.line) == (code, file, line)
    assert problem.message.startswith(message)
    assert problem.fix


SPEC = """\
task: qa
metrics: ./order_number.py
data: {training_data: rows.jsonl}
teacher: {teachers: [{model: DeepSeek-V3.2, connection: deepseek}]}
student: {model: ./student}
evaluate: {primary_metric: own}
"""


@pytest.fixture
def spec(file: Path) -> Path:
    path = file.parent / "job.yaml"
    path.write_text(SPEC)
    (file.parent / "student").mkdir()
    (file.parent / "student/config.json").write_text("{}")
    (file.parent / "rows.jsonl").write_text('{"question": "1?", "answer": "1"}\n')
    return path


def test_the_file_is_staged_for_step_evaluate_only(spec: Path, file: Path) -> None:
    pipeline = compile_job(load_job(spec), file.parent / "bundle")
    assert (file.parent / "bundle/inputs/metric_file.py").read_text() == ORDER
    assert pipeline.read_text().count("metric_file: ${{parent.inputs.metric_file}}") == 1


def test_a_job_checks_the_file_without_running_it(spec: Path, file: Path) -> None:
    file.write_text("raise SystemExit\n\ndef score(answer):\n    return 1\n")
    (problem,) = check_job(spec)[1]
    assert (problem.file, problem.line, problem.code) == (file, 3, "wrong_function")
    file.unlink()
    (problem,) = check_job(spec)[1]
    assert (problem.line, problem.code, problem.field) == (2, "file_not_found", ("metrics",))


def test_own_needs_its_file(spec: Path) -> None:
    spec.write_text(SPEC.replace("metrics: ./order_number.py\n", ""))
    with pytest.raises(SpecError) as raised:
        load_job(spec)
    (problem,) = raised.value.problems
    assert (problem.code, problem.field, problem.value) == ("unknown_metric", ("evaluate", "primary_metric"), "own")


def test_the_example_of_the_page_is_a_metric(file: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
    file.write_text(page.partition("```python\n")[2].partition("```")[0])
    metrics = evaluate([row(7, "It is order 7.")], CONFIG, metric_file=file).metrics
    assert [metrics.models[role].value("own") for role in ("teacher", "baseline", "student")] == [1, 0, 1]
