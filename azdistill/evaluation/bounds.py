"""Measure the value that a gate of `gates.bounds` compares with its bound."""

from collections.abc import Sequence
from dataclasses import dataclass

from azdistill.contracts.evaluate import EvaluateConfig, MetricBound
from azdistill.contracts.results import Interval, Metrics, Profile, RowScores
from azdistill.contracts.rows import Prompt
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.metrics import column, mean_interval, paired
from azdistill.evaluation.slices import corrected_for, rows_with, slices_of
from azdistill.metrics.metric import ProfileMetric, RowMetric
from azdistill.metrics.registry import metric_named


@dataclass(frozen=True)
class Measured:
    """A value with its interval, and the number of rows that it is of."""

    value: Interval
    rows: int


def measure(
    gate: MetricBound,
    metrics: Metrics,
    config: EvaluateConfig,
    profile: Profile | None,
    prompts: Sequence[Prompt],
    scores: Sequence[RowScores],
) -> Measured:
    """The value of a gate. A slice without rows has none. Raises InputError for a metric that does not exist."""
    metric = metric_named(gate.metric)
    if isinstance(metric, ProfileMetric):
        return Measured(Interval(value=getattr(profile, metric.name, None)), metrics.rows)
    if not isinstance(metric, RowMetric):
        return Measured(metrics.models["student"].interval(metric.name), metrics.rows)
    if any(metric.name not in row.scores for row in scores):  # it needs a judge or a file that the run does not have
        return Measured(Interval(), 0)
    bootstrap = PairedBootstrap(config.seed, config.resamples, _two_sided(gate, config))
    if gate.slice == "worst":
        return _worst_slice(gate, metric.name, bootstrap, prompts, scores)
    rows = rows_with(gate.slice, prompts, scores) if gate.slice else scores
    return _measure_rows(gate, metric.name, bootstrap, rows)


def _two_sided(gate: MetricBound, config: EvaluateConfig) -> float:
    """Confidence of the two-sided interval, one bound of which is that of the one-sided interval."""
    confidence = gate.confidence or config.confidence
    return 2 * confidence - 1 if gate.one_sided else confidence


def _measure_rows(gate: MetricBound, metric: str, bootstrap: PairedBootstrap, rows: Sequence[RowScores]) -> Measured:
    if gate.compared_with:
        student, other = paired(rows, metric, "student", gate.compared_with)
        return Measured(bootstrap.gain(student, other), len(student))
    student = column(rows, metric, "student")
    return Measured(mean_interval(student, bootstrap), len(student))


def _worst_slice(
    gate: MetricBound, metric: str, bootstrap: PairedBootstrap, prompts: Sequence[Prompt], scores: Sequence[RowScores]
) -> Measured:
    """The worst value of a slice. The intervals of the slices hold together, so it is between the worst of their lower
    and of their upper bounds."""
    slices = slices_of(prompts, scores, metric)
    corrected = corrected_for(len(slices), bootstrap)
    measured = [_measure_rows(gate, metric, corrected, group.rows) for group in slices]
    if not measured:
        return Measured(Interval(), 0)
    worst = max if gate.at_least is None else min
    bounds = {name: [getattr(one.value, name) for one in measured] for name in Interval.model_fields}
    interval = Interval(
        **{
            name: worst((value for value in of_slices if value is not None), default=None)
            for name, of_slices in bounds.items()
        }
    )
    return Measured(interval, next(one.rows for one in measured if one.value.value == interval.value))
