"""What decides whether a student may have a name."""

import pytest

from azdistill.contracts.evaluate import EvaluateConfig, Gates
from azdistill.evaluation.gates import decide
from azdistill.evaluation.metrics import evaluate

NONE = {"min_retention": None, "min_gain": None, "min_accuracy": None}


def decided(made, right=90, rows=100, enforce_gates=True, teacher="neutral", **gates):
    """The decision about a student that is right on so many rows, beside a baseline that never is."""
    said = ["neutral"] * right + ["entailment"] * (rows - right)
    tests = [made.row("neutral", teacher, "entailment", text, n) for n, text in enumerate(said)]
    config = EvaluateConfig(task="nli", resamples=500, enforce_gates=enforce_gates, gates=Gates(**NONE | gates))
    return decide(evaluate(tests, config).metrics, config)


@pytest.mark.parametrize("gate", ["min_retention", "min_gain", "min_accuracy"])
@pytest.mark.parametrize(("bound", "outcome"), [(0.8, "passed"), (0.97, "refused"), (0.9, "inconclusive")])
def test_the_whole_interval_decides_and_a_bound_inside_it_does_not(made, gate, bound, outcome):
    found = decided(made, **{gate: bound})
    assert (found.decision, found.register_student) == (outcome, outcome == "passed")
    assert [(one.name, one.bound, one.value, one.outcome) for one in found.gates] == [(gate, bound, 0.9, outcome)]


def test_a_bound_that_is_just_reached_is_reached(made):
    low = decided(made, min_accuracy=0.5).gates[0].low
    assert decided(made, min_accuracy=low).decision == "passed"


def test_the_worst_gate_decides(made):
    assert decided(made, min_retention=0.8, min_gain=0.9, min_accuracy=0.97).decision == "refused"
    assert decided(made, min_retention=0.8, min_gain=0.9).decision == "inconclusive"


def test_without_gates_a_student_passes(made):
    found = decided(made, right=0)
    assert (found.decision, found.register_student, found.gates) == ("passed", True, ())


def test_gates_that_are_reported_only_keep_no_student_from_its_name(made):
    found = decided(made, min_accuracy=0.97, enforce_gates=False)
    assert (found.decision, found.enforced, found.register_student) == ("refused", False, True)


@pytest.mark.parametrize(("bound", "register"), [(0.9, True), (0.97, False)])
def test_the_undecided_may_be_let_through_and_the_refused_may_not(made, bound, register):
    assert decided(made, min_accuracy=bound, accept_inconclusive=True).register_student is register


@pytest.mark.parametrize("accept", [False, True])
def test_a_figure_that_is_not_defined_proves_nothing(made, accept):
    for found in (
        decided(made, teacher="entailment", min_retention=0.5, accept_inconclusive=accept),
        decided(made, right=0, rows=0, min_accuracy=0.5, accept_inconclusive=accept),
    ):
        assert found.gates[0].value is None
        assert (found.decision, found.register_student) == ("inconclusive", False)
