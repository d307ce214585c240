"""The primary metric: its default by task, and what retention, gain and gates compare."""

import pytest

from azdistill.contracts.errors import InputError, SpecError
from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.contracts.results import Metrics
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate
from azdistill.job.model import DistillationJob
from azdistill.metrics.primary import DEFAULTS
from azdistill.reporting.messages import headline
from azdistill.tasks.registry import TASKS

GOLD = "Order 7 is refunded, because it came back within 30 days."
PARAPHRASE = "Order 7 will be refunded, since it came back within 30 days."
GARBAGE = "the the the"


def rows(count: int, teacher: str = GOLD, student: str = PARAPHRASE, baseline: str = GARBAGE) -> list[EvaluationRow]:
    texts = {"teacher": teacher, "student": student, "baseline": baseline}
    answers = {role: AnswerText(text, complete=True) for role, text in texts.items()}
    return [EvaluationRow(str(number), GOLD, answers) for number in range(count)]


def config(task: str = "conversation", **fields: object) -> EvaluateConfig:
    return EvaluateConfig.model_validate({"task": task, "resamples": 400, **fields})


def test_every_task_has_a_default_with_a_reason() -> None:
    assert set(DEFAULTS) == {*TASKS, "own"}
    defaults = {task: metric.name for task, (metric, reason) in DEFAULTS.items() if reason}
    assert defaults["conversation"] == "sentence_chrf"
    assert defaults["summarization"] == "rougeL"
    assert defaults["nli"] == defaults["qa"] == defaults["math"] == defaults["own"] == "accuracy"


@pytest.mark.parametrize(("task", "name"), [("conversation", "sentence_chrf"), ("summarization", "rougeL")])
def test_a_paraphrase_keeps_most_of_a_graded_metric_and_garbage_nothing(task: str, name: str) -> None:
    metrics = evaluate(rows(100), config(task)).metrics
    assert (metrics.primary_metric, metrics.primary_reason.startswith(f"default of task {task}: ")) == (name, True)
    values = {role: model.value(name) for role, model in metrics.models.items()}
    assert values["teacher"] == 1
    assert 0.7 < values["student"] < 0.95
    assert values["baseline"] < 0.2
    assert metrics.retention.value == pytest.approx(values["student"] / values["teacher"], abs=1e-6)
    assert metrics.gain.value == pytest.approx(values["student"] - values["baseline"], abs=1e-6)
    assert metrics.retention.low < metrics.retention.value < metrics.retention.high
    assert decide(metrics, config(task, gates=Gates(min_retention=0.7, min_gain=0.5))).decision == "passed"


def test_the_job_may_set_the_primary_metric() -> None:
    metrics = evaluate(rows(40), config(primary_metric="accuracy")).metrics
    assert (metrics.primary_metric, metrics.primary_reason) == ("accuracy", "set by evaluate.primary_metric")
    assert metrics.retention.value == 0
    graded = evaluate(rows(40), config("nli", primary_metric="rouge1")).metrics
    assert graded.primary_metric == "rouge1"
    assert graded.rows == 0, "GOLD is no label"


def test_metrics_of_an_earlier_version_have_accuracy_as_primary_metric() -> None:
    written = evaluate(rows(3), config("qa")).metrics.model_dump(mode="json")
    del written["primary_metric"], written["primary_reason"]
    assert Metrics.model_validate(written).primary_metric == "accuracy"


def test_the_headline_names_the_metric() -> None:
    graded = evaluate(rows(60), config()).metrics
    sentence = headline(decide(graded, config()), graded)
    assert "sentence chrF on 60 held-out rows" in sentence
    assert "correctly" not in sentence
    exact = evaluate(rows(60, student=GOLD), config(primary_metric="accuracy")).metrics
    assert "answers 100.0% of 60 held-out rows correctly" in headline(decide(exact, config()), exact)


@pytest.mark.parametrize("name", ["chrf", "rougel", "device", "latency_p50_s"])
def test_a_name_that_scores_no_rows_is_a_problem(name: str) -> None:
    with pytest.raises(InputError) as raised:
        evaluate(rows(2), config(primary_metric=name))
    (problem,) = raised.value.problems
    assert (problem.code, problem.field, problem.value) == ("unknown_metric", ("evaluate", "primary_metric"), name)
    job = {
        "data": {"training_data": "rows.jsonl"},
        "student": {"model": "phi-4-mini"},
        "task": "conversation",
        "teacher": {"teachers": [{"model": "m", "endpoint": "https://host.example/v1"}]},
        "evaluate": {"primary_metric": name},
    }
    with pytest.raises(SpecError) as refused:
        DistillationJob.model_validate(job)
    assert refused.value.problems == (problem,)
