"""Gates on slices, compared with another model, and with a confidence of their own."""

import pytest
from pydantic import ValidationError

from azdistill.contracts.evaluate import EvaluateConfig, Gates, MetricBound
from azdistill.contracts.rows import Message, Prompt
from azdistill.evaluation.gates import decide
from azdistill.evaluation.intervals import detectable_difference, wilson
from azdistill.evaluation.metrics import evaluate

ROWS = 200


def decided(build, **bound):
    """The gate of one bound. Of 200 rows, 40 have the topic billing: the student is right on half of these and on all
    others, the baseline on all of these and on half of the others."""
    billing = [number < 40 for number in range(ROWS)]
    even = [number % 2 == 0 for number in range(ROWS)]
    student = [even[n] or not billing[n] for n in range(ROWS)]
    baseline = [even[n] or billing[n] for n in range(ROWS)]
    label = {True: "neutral", False: "entailment"}
    rows = [build.row("neutral", "neutral", label[baseline[n]], label[student[n]], n) for n in range(ROWS)]
    prompts = [
        Prompt(
            id=f"{n:016x}",
            split="test",
            messages=(Message(role="user", content="Does it?"),),
            gold="neutral",
            source=f"test.jsonl:{n}",
            columns={"topic": "billing" if billing[n] else "other"},
        )
        for n in range(ROWS)
    ]
    gates = Gates(min_retention=None, min_gain=None, bounds=(MetricBound(**bound),))
    config = EvaluateConfig(task="nli", resamples=1000, gates=gates)
    evaluation = evaluate(rows, config)
    return decide(evaluation.metrics, config, None, prompts, evaluation.scores).gates[0]


@pytest.mark.parametrize(
    ("bound", "name", "value", "rows", "outcome"),
    [
        ({"at_least": 0.8}, "min_accuracy", 0.9, 200, "passed"),
        ({"at_most": 0.8}, "max_accuracy", 0.9, 200, "refused"),
        ({"slice": {"topic": "billing"}, "at_least": 0.8}, "min_accuracy (topic=billing)", 0.5, 40, "refused"),
        (
            {"slice": {"topic": "billing", "source": "test.jsonl"}, "at_least": 0.5},
            "min_accuracy (topic=billing, source=test.jsonl)",
            0.5,
            40,
            "inconclusive",
        ),
        ({"compared_with": "baseline", "at_least": 0.1}, "min_accuracy_vs_baseline", 0.3, 200, "passed"),
        ({"compared_with": "teacher", "at_least": -0.02}, "min_accuracy_vs_teacher", -0.1, 200, "refused"),
        ({"slice": "worst", "at_least": 0.8}, "min_accuracy (worst slice)", 0.5, 40, "refused"),
        (
            {"slice": "worst", "compared_with": "baseline", "at_least": -0.02},
            "min_accuracy_vs_baseline (worst slice)",
            -0.5,
            40,
            "refused",
        ),
        ({"slice": {"topic": "none"}, "at_least": 0.8}, "min_accuracy (topic=none)", None, 0, "inconclusive"),
        ({"slice": {"colour": "red"}, "at_least": 0.8}, "min_accuracy (colour=red)", None, 0, "inconclusive"),
    ],
)
def test_a_bound_is_of_the_rows_and_the_comparison_that_it_names(build, bound, name, value, rows, outcome):
    gate = decided(build, metric="accuracy", **bound)
    assert (gate.name, gate.value, gate.rows, gate.outcome) == (name, value, rows, outcome)


def test_an_interval_has_the_confidence_of_its_bound(build):
    """A one-sided bound of 95% is that of the two-sided interval of 90%."""
    gate = decided(build, metric="accuracy", at_least=0.5, confidence=0.9)
    one_sided = decided(build, metric="accuracy", at_least=0.5, confidence=0.95, one_sided=True)
    assert gate.interval == wilson(180, ROWS, 0.9) == one_sided.interval
    assert gate.low > decided(build, metric="accuracy", at_least=0.5).low


def test_a_bound_needs_one_side():
    for bounds in ({}, {"at_least": 0, "at_most": 1}):
        with pytest.raises(ValidationError, match="either at_least or at_most"):
            MetricBound(metric="accuracy", **bounds)


def test_the_detectable_difference_is_found_four_times_out_of_five():
    """Of simulated pairs with this true difference, 80% have an interval above 0: within 3 standard errors."""
    import numpy as np

    from azdistill.evaluation.intervals import PairedBootstrap

    rng, rows, rate = np.random.default_rng(0), 300, 0.5
    bootstrap = PairedBootstrap(0, 400, 0.95)

    def pairs(difference):
        return (rng.random(rows) < rate + difference).astype(float), (rng.random(rows) < rate).astype(float)

    difference = detectable_difference(bootstrap.gain(*pairs(0.1)), 0.95)
    assert difference is not None
    assert 0.08 < difference < 0.14
    intervals = [bootstrap.gain(*pairs(difference)) for _ in range(300)]
    share = sum(interval.low > 0 for interval in intervals) / 300
    assert abs(share - 0.8) < 3 * (0.8 * 0.2 / 300) ** 0.5
