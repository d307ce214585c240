"""Compare the student's metrics with the gates of the job."""

import math
from collections.abc import Iterable, Iterator, Sequence

from azdistill.contracts.evaluate import EvaluateConfig, Gates, MetricBound
from azdistill.contracts.results import (
    GateDecision,
    GateOutcome,
    GateResult,
    Interval,
    Metrics,
    Profile,
    RowScores,
    SuiteMetrics,
)
from azdistill.contracts.rows import Prompt
from azdistill.evaluation.bounds import Measured, measure
from azdistill.metrics.metric import ProfileMetric
from azdistill.metrics.registry import gated_metric, metric_named


def decide(
    metrics: Metrics,
    config: EvaluateConfig,
    profile: Profile | None = None,
    prompts: Sequence[Prompt] = (),
    scores: Sequence[RowScores] = (),
) -> GateDecision:
    """Compare metrics and the student's profile with gates. The worst outcome decides; without gates a student passes.

    `gates.bounds` need the test rows: `prompts` and their `scores`. Raises InputError for a gate on a metric that does
    not exist.
    """
    gates = (
        *_results(metrics, config.gates, profile, scores),
        *(
            _bound_result(gate, measure(gate, metrics, config, profile, prompts, scores))
            for gate in config.gates.bounds
        ),
        *_suite_results(metrics.regressions),
    )
    decision = _worst(gate.outcome for gate in gates)
    # A metric that is not defined is no close call: accept_inconclusive does not apply to it.
    defined = all(gate.value is not None for gate in gates)
    accepted = decision == "inconclusive" and config.gates.accept_inconclusive and defined
    return GateDecision(
        decision=decision,
        enforced=config.enforce_gates,
        register_student=decision == "passed" or accepted or not config.enforce_gates,
        gates=gates,
    )


def needs_profile(gates: Gates) -> bool:
    """True if a gate bounds latency, throughput, memory or size."""
    names = [*gates.metrics, *(gate.metric for gate in gates.bounds)]
    return any(isinstance(metric_named(name), ProfileMetric) for name in names)


def _results(
    metrics: Metrics, gates: Gates, profile: Profile | None, scores: Sequence[RowScores]
) -> Iterator[GateResult]:
    student = metrics.models["student"]
    measured = [
        ("min_retention", gates.min_retention, metrics.retention),
        ("min_gain", gates.min_gain, metrics.gain),
        ("min_slice_gain", gates.min_slice_gain, metrics.smallest_gain),
        ("min_accuracy", gates.min_accuracy, student.interval("accuracy")),
    ]
    for name, bound, value in measured:
        if bound is not None:
            yield _result(name, bound, value, metrics.rows, higher_is_better=True)
    for name, bound in gates.metrics.items():
        metric = gated_metric(name)
        value = (
            Interval(value=getattr(profile, metric.name, None))
            if isinstance(metric, ProfileMetric)
            else student.interval(metric.name)
        )
        higher = bool(metric.higher_is_better)
        gate = f"{'min' if higher else 'max'}_{name}"
        rows = sum(row.scores[metric.name]["student"] is not None for row in scores if metric.name in row.scores)
        yield _result(gate, bound, value, rows or metrics.rows, higher_is_better=higher)


def _bound_result(gate: MetricBound, measured: Measured) -> GateResult:
    return _result(gate.name, gate.bound, measured.value, measured.rows, higher_is_better=gate.at_least is not None)


def _suite_results(suites: Iterable[SuiteMetrics]) -> Iterator[GateResult]:
    """The gates of the regression suites. Each of them must pass, so their intervals need no correction."""
    for suite in suites:
        if suite.min_gain is not None:
            name = f"min_regression_{suite.name}"
            yield _result(name, suite.min_gain, suite.gain, suite.rows, higher_is_better=True)
        if suite.max_gain is not None:
            name = f"max_regression_{suite.name}"
            yield _result(name, suite.max_gain, suite.gain, suite.rows, higher_is_better=False)


def _result(name: str, bound: float, measured: Interval, rows: int, *, higher_is_better: bool) -> GateResult:
    outcome = _outcome(bound, measured, higher_is_better)
    needed = _rows_needed(bound, measured, rows) if outcome == "inconclusive" else None
    return GateResult(name=name, bound=bound, **measured.model_dump(), outcome=outcome, rows=rows, rows_needed=needed)


def _rows_needed(bound: float, measured: Interval, rows: int) -> int | None:
    """Rows with which the bound would be outside the interval: its width is proportional to 1 / sqrt(rows).

    None where the value is the bound: no number of rows decides that.
    """
    if measured.value is None or measured.low is None or measured.high is None or measured.value == bound:
        return None
    half_width = measured.value - measured.low if measured.value > bound else measured.high - measured.value
    return math.ceil(rows * (half_width / (measured.value - bound)) ** 2)


def _outcome(bound: float, measured: Interval, higher_is_better: bool) -> GateOutcome:
    """Passed or refused when the interval is on one side of the bound, inconclusive when the bound is inside it.

    A metric without an interval is compared by its value.
    """
    low = measured.value if measured.low is None else measured.low
    high = measured.value if measured.high is None else measured.high
    if low is None or high is None:
        return "inconclusive"
    if not higher_is_better:
        bound, low, high = -bound, -high, -low
    if low >= bound:
        return "passed"
    return "refused" if high < bound else "inconclusive"


def _worst(outcomes: Iterable[GateOutcome]) -> GateOutcome:
    present = set(outcomes)
    worst_first: tuple[GateOutcome, ...] = ("refused", "inconclusive")
    return next((outcome for outcome in worst_first if outcome in present), "passed")
