"""Students of several runs are compared on the rows that they share."""

import pytest

from azdistill.contracts.errors import InputError
from azdistill.contracts.results import GateDecision, Interval, Metrics, ModelMetrics, RowScores
from azdistill.evaluation.compare import RunResults, compare
from azdistill.evaluation.intervals import PairedBootstrap

BOOTSTRAP = PairedBootstrap(seed=0, resamples=500, confidence=0.95)


def run(scores: dict[str, float | bool | None], metric: str = "accuracy") -> RunResults:
    """A run whose student has these scores of a metric by row."""
    rows = [RowScores(id=name, answers={}, scores={metric: {"student": score}}) for name, score in scores.items()]
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    metrics = {"task": "qa", "primary_metric": metric, "reference": "gold", "rows": 1, "unscored": 0}
    metrics["models"] = {"student": {metric: interval}}
    decision = GateDecision(decision="passed", enforced=True, register_student=True, gates=())
    return RunResults(
        Metrics.model_validate(metrics | {"retention": interval, "gain": interval}), decision, rows, ModelMetrics({})
    )


def test_a_difference_is_paired_on_the_shared_rows() -> None:
    first = run({f"r{n}": n % 2 == 0 for n in range(100)})
    second = run({f"r{n}": n % 2 == 0 or n % 10 == 1 for n in range(50, 150)})
    comparison = compare({"first": first, "second": second}, BOOTSTRAP)
    reference, compared = comparison.runs
    assert (comparison.metric, reference.difference, reference.shared_rows) == ("accuracy", None, None)
    assert compared.score == Interval(value=0.5, low=0.4, high=0.6)  # as the run reported it
    assert (compared.rows, compared.shared_rows, compared.different_answers) == (100, 50, 5)
    assert compared.difference
    assert compared.difference.value == 0.1
    # Unpaired, the interval of two shares near a half of 50 rows is .39 wide.
    assert compared.difference.low is not None
    assert compared.difference.high is not None
    assert 0 < compared.difference.high - compared.difference.low < 0.25


def test_graded_scores_and_rows_that_do_not_count() -> None:
    first = run({"a": 0.2, "b": 0.4, "c": None}, "f1")
    second = run({"a": 0.4, "b": None, "c": 0.5}, "f1")
    compared = compare({"first": first, "second": second}, BOOTSTRAP).runs[1]
    assert (compared.rows, compared.shared_rows, compared.different_answers) == (2, 1, 1)
    assert compared.difference
    assert compared.difference.value == pytest.approx(0.2)


def test_without_shared_rows_no_difference_is_known() -> None:
    compared = compare({"first": run({"a": True}), "second": run({"b": True})}, BOOTSTRAP).runs[1]
    assert (compared.shared_rows, compared.difference) == (0, Interval())


def test_metrics_must_be_the_same() -> None:
    runs = {"first": run({"a": True}), "second": run({"a": 0.5}, "f1")}
    with pytest.raises(InputError) as error:
        compare(runs, BOOTSTRAP)
    assert error.value.problems[0].code == "other_metrics"
    with pytest.raises(InputError) as error:
        compare(runs, BOOTSTRAP, "f1")
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == ("unknown_metric", "run first")
