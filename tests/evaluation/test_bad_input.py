"""Predictions that prove nothing: no metric divides by zero, and no gate passes by accident."""

import math

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import Interval
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate

GOLD = "Order 7 is refunded."

CASES = {
    "no rows": [],
    "no valid answer": [(GOLD, None, None, None)] * 30,
    "blank answers": [(GOLD, "", "", "")] * 30,
    "a teacher without answers": [(GOLD, None, "x", GOLD)] * 30,
    "no references, and no answer of the teacher": [(None, None, "x", "y")] * 30,
    "one row": [(GOLD, GOLD, "x", GOLD)],
    "all equal to the reference": [(GOLD, GOLD, GOLD, GOLD)] * 5,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("task", ["conversation", "summarization", "qa"])
def test_rows_that_prove_nothing_pass_no_gate(build, name, task):
    rows = [build.row(*texts, number=number) for number, texts in enumerate(CASES[name])]
    config = EvaluateConfig(task=task, resamples=200, gates={"min_retention": 0.9, "min_gain": 0.05})
    metrics = evaluate(rows, config).metrics
    decision = decide(metrics, config)
    assert decision.decision != "passed"
    assert not decision.register_student
    stored = [value for model in metrics.models.values() for value in model.root.values()]
    numbers = [number for value in stored if isinstance(value, Interval) for number in value.model_dump().values()]
    assert all(number is None or math.isfinite(number) for number in [*numbers, metrics.retention.value])


def test_references_of_another_task_score_no_row(build):
    rows = [build.row("Order 7 is refunded.", "neutral", "neutral", "neutral", number) for number in range(30)]
    config = EvaluateConfig(task="nli", resamples=200)
    metrics = evaluate(rows, config).metrics
    assert (metrics.rows, metrics.unscored) == (0, 30)
    assert decide(metrics, config).decision == "inconclusive"
