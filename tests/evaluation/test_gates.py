"""Gates decide whether a student is registered."""

import json
import math

import pytest

from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.contracts.results import Interval, SliceMetrics
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate

NONE = {"min_retention": None, "min_gain": None, "min_accuracy": None}


def decided(build, right=90, rows=100, enforce_gates=True, teacher="neutral", **gates):
    """The decision about a student with `right` correct rows; the baseline has none."""
    answers = ["neutral"] * right + ["entailment"] * (rows - right)
    tests = [build.row("neutral", teacher, "entailment", text, n) for n, text in enumerate(answers)]
    config = EvaluateConfig(task="nli", resamples=500, enforce_gates=enforce_gates, gates=Gates(**NONE | gates))
    return decide(evaluate(tests, config).metrics, config)


@pytest.mark.parametrize("name", ["min_retention", "min_gain", "min_accuracy"])
@pytest.mark.parametrize(("bound", "outcome"), [(0.8, "passed"), (0.97, "refused"), (0.9, "inconclusive")])
def test_a_bound_outside_the_interval_decides_and_one_inside_does_not(build, name, bound, outcome):
    decision = decided(build, **{name: bound})
    gates = [(gate.name, gate.bound, gate.value, gate.outcome) for gate in decision.gates]
    assert (decision.decision, decision.register_student) == (outcome, outcome == "passed")
    assert gates == [(name, bound, 0.9, outcome)]


def test_a_bound_that_is_just_reached_is_reached(build):
    low = decided(build, min_accuracy=0.5).gates[0].low
    assert decided(build, min_accuracy=low).decision == "passed"


def test_an_inconclusive_gate_says_how_many_rows_would_decide_it(build):
    """With that many rows and the same value, the interval ends near the bound."""
    (gate,) = decided(build, min_accuracy=0.87).gates
    assert gate.rows_needed == math.ceil(100 * ((gate.value - gate.low) / 0.03) ** 2)
    (decided_gate,) = decided(build, right=900, rows=1000, min_accuracy=0.87).gates
    assert (gate.outcome, decided_gate.outcome, decided_gate.rows_needed) == ("inconclusive", "passed", None)
    assert gate.rows_needed < 1000
    (above,) = decided(build, min_accuracy=0.93).gates
    assert above.rows_needed == math.ceil(100 * ((above.high - above.value) / 0.03) ** 2)
    assert decided(build, min_accuracy=0.9).gates[0].rows_needed is None


@pytest.mark.parametrize(("bound", "outcome"), [(-0.1, "passed"), (0.0, "inconclusive"), (0.2, "refused")])
def test_the_smallest_gain_of_a_slice_is_bounded(build, bound, outcome):
    """The intervals are [-.05, .15] and [.1, .3]: the smallest gain is between -.05 and .15."""
    config = EvaluateConfig(task="nli", gates=Gates(**NONE | {"min_slice_gain": bound}))
    metrics = evaluate([build.row("neutral", "neutral", "neutral", "neutral", 1)], config).metrics
    gains = [Interval(value=0.05, low=-0.05, high=0.15), Interval(value=0.2, low=0.1, high=0.3)]
    slices = tuple(SliceMetrics(name="source", value="a", rows=9, means={}, gain=gain) for gain in gains)
    (gate,) = decide(metrics.model_copy(update={"slices": slices}), config).gates
    assert (gate.name, gate.value, gate.low, gate.high, gate.outcome) == ("min_slice_gain", 0.05, -0.05, 0.15, outcome)
    assert decide(metrics, config).decision == "inconclusive"


def test_the_worst_gate_decides(build):
    assert decided(build, min_retention=0.8, min_gain=0.9, min_accuracy=0.97).decision == "refused"
    assert decided(build, min_retention=0.8, min_gain=0.9).decision == "inconclusive"


def test_without_gates_a_student_passes(build):
    decision = decided(build, right=0)
    assert (decision.decision, decision.register_student, decision.gates) == ("passed", True, ())


def test_gates_that_are_not_enforced_do_not_prevent_registration(build):
    decision = decided(build, min_accuracy=0.97, enforce_gates=False)
    assert (decision.decision, decision.enforced, decision.register_student) == ("refused", False, True)


@pytest.mark.parametrize(("bound", "register"), [(0.9, True), (0.97, False)])
def test_accept_inconclusive_registers_inconclusive_students_but_not_refused_ones(build, bound, register):
    assert decided(build, min_accuracy=bound, accept_inconclusive=True).register_student is register


@pytest.mark.parametrize("accept", [False, True])
def test_an_undefined_metric_is_inconclusive_and_never_registers(build, accept):
    for decision in (
        decided(build, teacher="entailment", min_retention=0.5, accept_inconclusive=accept),
        decided(build, right=0, rows=0, min_accuracy=0.5, accept_inconclusive=accept),
    ):
        assert decision.gates[0].value is None
        assert (decision.decision, decision.register_student) == ("inconclusive", False)


def test_the_cost_of_answers_is_bounded(build, evaluate_step, folders):
    """500 rows in 5 seconds on a machine of 7.2 an hour: 1,000 answers cost .02. Without a price it is not defined."""
    inputs = folders()
    profile = {"rows": 500, "seconds": 5, "parameters": 1, "weight_bytes": 1, "device": "cpu", "peak_memory_bytes": 1}
    profile |= {"generated_tokens": 1, "tokens_per_s": 1, "latency_rows": 0}
    profile |= {"latency_p50_s": None, "latency_p95_s": None}
    (inputs["student"] / "profile.json").write_text(json.dumps(profile))
    gates = NONE | {"bounds": [{"metric": "cost_per_1000", "at_most": 0.03}], "metrics": {"cost_per_1000": 0.01}}
    for price, value, outcomes in ((7.2, 0.02, ["refused", "passed"]), (None, None, ["inconclusive"] * 2)):
        flags = {} if price is None else {"serving_hour_price": price}
        done = evaluate_step(inputs, gates, output=f"evaluation {price}", **flags)
        decision = json.loads((done.folder / "gate.json").read_text())
        assert [(gate["value"], gate["outcome"]) for gate in decision["gates"]] == [(value, one) for one in outcomes]
