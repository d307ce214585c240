"""The number of test rows that the gates of a job need."""

from collections.abc import Iterator
from statistics import NormalDist

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.problems import FieldPath, Problem
from azdistill.metrics import accuracy
from azdistill.metrics.primary import DEFAULTS

# Names of the metric whose rows are right or wrong: its interval is known before the rows are answered.
ACCURACY = (accuracy.METRIC.name, *accuracy.METRIC.client_names)

GATES: FieldPath = ("evaluate", "gates")


def few_rows(config: EvaluateConfig, rows: int, about: str = "") -> Iterator[Problem]:
    """A warning when `rows` test rows are fewer than the gates on accuracy need."""
    needs = [(rows_needed(bound, confidence), bound, field) for field, bound, confidence in _bounds(config)]
    needed, bound, field = max(needs, default=(0, 0.0, GATES))
    if rows >= needed:
        return
    decided_by = f"about {_rounded(needed)} would, if the student's accuracy is {_assumed(bound):.3g}"
    yield Problem(
        code="few_test_rows",
        message=f"{about}{rows} test rows can hardly decide it: {decided_by}",
        fix="add test rows, or expect the result inconclusive",
        field=field,
        value=bound,
        severity="warning",
    )


def rows_needed(bound: float, confidence: float) -> int:
    """Rows from which on the Wilson interval of the assumed accuracy is above `bound`.

    The interval contains the bound until `accuracy - bound = z * sqrt(bound * (1 - bound) / rows)`.
    """
    if not 0 < bound < 1:
        return 0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return round(z**2 * bound * (1 - bound) / (_assumed(bound) - bound) ** 2)


def _assumed(bound: float) -> float:
    """Accuracy of a student that makes a third fewer errors than the gate allows."""
    return bound + (1 - bound) / 3


def _bounds(config: EvaluateConfig) -> Iterator[tuple[FieldPath, float, float]]:
    """Field, lower bound and confidence of each gate on the student's accuracy on all test rows.

    The retention of accuracy is at most the accuracy divided by the teacher's, so it needs as many rows or more.
    """
    gates = config.gates
    if gates.min_accuracy is not None:
        yield (*GATES, "min_accuracy"), gates.min_accuracy, config.confidence
    if gates.min_retention is not None and (config.primary_metric or DEFAULTS[config.task][0].name) in ACCURACY:
        yield (*GATES, "min_retention"), gates.min_retention, config.confidence
    for name, bound in gates.metrics.items():
        if name in ACCURACY:
            yield (*GATES, "metrics", name), bound, config.confidence
    for index, gate in enumerate(gates.bounds):
        if gate.metric in ACCURACY and gate.at_least is not None and not gate.slice and not gate.compared_with:
            confidence = gate.confidence or config.confidence
            both_sides = 2 * confidence - 1 if gate.one_sided else confidence
            yield (*GATES, "bounds", index), gate.at_least, both_sides


def _rounded(rows: int) -> str:
    """With two digits, so that it reads as an estimate."""
    digits = len(str(rows)) - 2
    return f"{round(rows, -digits) if digits > 0 else rows:,}"
