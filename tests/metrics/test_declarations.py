"""A declared metric is computed, gated, shown and offered to the client without further edits."""

import pytest

from azdistill.contracts.errors import InputError, SpecError
from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.contracts.results import Interval, Profile
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate
from azdistill.job.model import DistillationJob
from azdistill.metrics.metric import ModelAnswer, ProfileMetric, RowMetric
from azdistill.metrics.registry import METRICS, METRICS_BY_NAME, gate_problems
from azdistill.reporting.figures import format_metric
from azdistill.tasks import conversation

CONFIG = EvaluateConfig(task="conversation", resamples=400)


def shared_words(answer: ModelAnswer) -> float | None:
    """A graded score: the fraction of the reference's words that the answer has."""
    if not answer.references:
        return None
    words = set(answer.references[0].split())
    return len(words & set((answer.answer or "").split())) / len(words)


GRADED = RowMetric(name="words", label="shared words", unit="fraction", score=shared_words, higher_is_better=True)


def row(number: int, student: str, gold: str = "a b c d") -> EvaluationRow:
    texts = {"teacher": gold, "baseline": "x", "student": student}
    return EvaluationRow(str(number), gold, {role: AnswerText(text, complete=True) for role, text in texts.items()})


def test_a_graded_metric_has_the_mean_of_its_scores_and_an_interval_around_it():
    rows = [row(number, "a b x y" if number % 2 else "a b c y") for number in range(60)]
    evaluation = evaluate(rows, CONFIG, declared=[*METRICS, GRADED])
    words = evaluation.metrics.models["student"].interval("words")
    assert words.value == 0.625
    assert 0.5 < words.low < 0.6 < 0.65 < words.high < 0.75
    assert evaluation.scores[1].scores["words"] == {"teacher": 1.0, "baseline": 0.0, "student": 0.5}
    assert evaluation.metrics.models["student"].value("accuracy") == 0
    assert format_metric(GRADED, words).startswith("62.5% [")


def test_graded_scores_of_few_equal_rows_prove_little():
    words = evaluate([row(n, "a b x y") for n in range(5)], CONFIG, declared=[*METRICS, GRADED])
    interval = words.metrics.models["student"].interval("words")
    assert interval.value == 0.5
    assert interval.high - interval.low > 0.2


def test_names_and_client_names_are_unique():
    names = [name for metric in METRICS for name in {metric.name, *metric.client_names}]
    assert len(set(names)) == len(names) == len(METRICS_BY_NAME)


def test_profile_metrics_are_fields_of_the_profile():
    declared = {metric.name for metric in METRICS if isinstance(metric, ProfileMetric)}
    assert declared <= set(Profile.model_fields)


@pytest.mark.parametrize(
    ("bound", "outcome"), [(20, "passed"), (100, "passed"), (100.5, "refused")], ids=["below", "equal", "above"]
)
def test_a_gate_on_a_metric_without_interval_compares_its_value(bound, outcome):
    rows = [row(number, "a b c d") for number in range(20)]
    config = CONFIG.model_copy(update={"gates": Gates(min_retention=None, min_gain=None, metrics={"bleu": bound})})
    (gate,) = decide(evaluate(rows, config).metrics, config).gates
    assert (gate.name, gate.value, gate.outcome) == ("min_bleu", pytest.approx(100), outcome)


@pytest.mark.parametrize(("name", "fix"), [("blue", "did you mean 'bleu'?"), ("device", "it has")])
def test_a_gate_on_something_else_is_a_problem_with_its_field(name, fix):
    (problem,) = gate_problems([name, "agreement"])
    assert (problem.code, problem.field) == ("unknown_metric", ("evaluate", "gates", "metrics", name))
    assert problem.fix.startswith(fix)
    config = CONFIG.model_copy(update={"gates": Gates(min_retention=None, min_gain=None, metrics={name: 1})})
    with pytest.raises(InputError) as raised:
        decide(evaluate([row(1, "a")], config).metrics, config)
    assert raised.value.problems == (problem,)


PROFILE = Profile(
    rows=9,
    parameters=5,
    weight_bytes=10,
    device="cpu",
    peak_memory_bytes=7,
    generated_tokens=9,
    seconds=1.0,
    tokens_per_s=9.0,
    latency_rows=9,
    latency_p50_s=0.2,
    latency_p95_s=None,
)


@pytest.mark.parametrize(
    ("name", "bound", "value", "outcome"),
    [
        ("latency", 0.5, 0.2, "passed"),
        ("inference_time", 0.1, 0.2, "refused"),
        ("memory_usage", 8, 7, "passed"),
        ("throughput", 10, 9, "refused"),
        ("latency_p95_s", 1, None, "inconclusive"),
        ("bleu_score", 50, 100, "passed"),
        ("unparseable", 0.5, 0, "passed"),
        ("ended", 1.0, 1, "inconclusive"),
    ],
)
def test_a_gate_may_bound_each_metric_by_the_names_of_the_client(name, bound, value, outcome):
    rows = [row(number, "a b c d") for number in range(20)]
    config = CONFIG.model_copy(update={"gates": Gates(min_retention=None, min_gain=None, metrics={name: bound})})
    (gate,) = decide(evaluate(rows, config).metrics, config, PROFILE).gates
    assert (gate.value, gate.outcome) == (None if value is None else pytest.approx(value), outcome)


def test_a_job_with_a_gate_on_an_unknown_metric_is_rejected_before_it_runs():
    sections = {"data": {"training_data": "rows.jsonl"}, "student": {"model": "phi-4-mini"}, "task": "nli"}
    teacher = {"teachers": [{"model": "m", "endpoint": "https://host.example/v1"}]}
    job = {**sections, "teacher": teacher, "evaluate": {"gates": {"metrics": {"blue": 30}}}}
    with pytest.raises(SpecError) as raised:
        DistillationJob.model_validate(job)
    assert [problem.field for problem in raised.value.problems] == [("evaluate", "gates", "metrics", "blue")]
    job["evaluate"] = {"gates": {"metrics": {"bleu": 30}}}
    assert DistillationJob.model_validate(job).evaluate.gates.metrics == {"bleu": 30}


def test_an_answer_matches_only_what_is_expected():
    answer = ModelAnswer("A", True, "a", ("A",), ("a",), None, conversation)
    assert (answer.matches(["b", "a"]), answer.matches(["b"]), answer.matches([])) == (True, False, None)
    assert format_metric(METRICS[0], Interval()) == "n/a"
