"""Metrics of teacher, baseline and student on the same test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import (
    MODEL_ROLES,
    Interval,
    Metrics,
    MetricValue,
    ModelMetrics,
    ModelRole,
    RowScores,
)
from azdistill.evaluation.answers import EvaluationRow
from azdistill.evaluation.intervals import PairedBootstrap, Scores, detectable_difference, wilson
from azdistill.evaluation.scores import extract, reference_source, score
from azdistill.metrics.judge import with_judge
from azdistill.metrics.metric import CorpusMetric, Metric, ModelAnswer, RowMetric
from azdistill.metrics.own import with_own
from azdistill.metrics.primary import primary_metric
from azdistill.metrics.registry import METRICS, metric_named
from azdistill.tasks.registry import task_of


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and the scores of each test row in order."""

    metrics: Metrics
    scores: tuple[RowScores, ...]


def evaluate(
    rows: Sequence[EvaluationRow],
    config: EvaluateConfig,
    task_file: Path | None = None,
    metric_file: Path | None = None,
    declared: Sequence[Metric] = METRICS,
) -> Evaluation:
    """Score every row with every metric. A missing, incomplete or invalid answer is wrong.

    Raises InputError for a `task_file` that defines no task, a `metric_file` that defines no metric or fails, and an
    unknown primary metric.
    """
    task, source = task_of(config.task, task_file, config.labels), reference_source(rows)
    declared = with_judge(with_own(declared, metric_file), any(row.judged is not None for row in rows))
    primary, reason = primary_metric(config.primary_metric, config.task, declared)
    metrics = computed(declared, config, primary)
    answers = [extract(row, task, source) for row in rows]
    row_metrics = [metric for metric in metrics if isinstance(metric, RowMetric)]
    scores = tuple(score(row, by_model, task, row_metrics) for row, by_model in zip(rows, answers, strict=True))
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    gain = bootstrap.gain(*paired(scores, primary.name, "student", "baseline"))

    def values(role: ModelRole) -> dict[str, MetricValue]:
        values: dict[str, MetricValue] = {}
        for metric in metrics:
            if isinstance(metric, RowMetric):
                values[metric.name] = mean_interval(column(scores, metric.name, role), bootstrap)
            elif isinstance(metric, CorpusMetric):
                values |= corpus_values(metric, [by_model[role] for by_model in answers])
        return values

    scored = len(column(scores, primary.name, "student"))
    return Evaluation(
        Metrics(
            task=config.task,
            primary_metric=primary.name,
            primary_reason=reason,
            reference=source,
            rows=scored,
            unscored=len(rows) - scored,
            models={role: ModelMetrics(values(role)) for role in MODEL_ROLES},
            retention=bootstrap.retention(*paired(scores, primary.name, "student", "teacher")),
            gain=gain,
            detectable_gain=detectable_difference(gain, config.confidence),
        ),
        scores,
    )


def computed(declared: Sequence[Metric], config: EvaluateConfig, primary: Metric) -> list[Metric]:
    """The metrics to compute: row metrics of other tasks only if a gate or the primary metric needs them."""
    gated = [*config.gates.metrics, *(gate.metric for gate in config.gates.bounds)]
    required = {primary.name, *(metric_named(name).name for name in gated)}
    return [
        metric
        for metric in declared
        if metric.suits(config.task) or metric.name in required or isinstance(metric, CorpusMetric)
    ]


def column(scores: Sequence[RowScores], metric: str, role: ModelRole) -> Scores:
    """Scores of one metric and model, shape (rows that count,)."""
    values = [row.score(metric, role) for row in scores]
    return np.array([value for value in values if value is not None], dtype=float)


def paired(scores: Sequence[RowScores], metric: str, model: ModelRole, reference: ModelRole) -> tuple[Scores, Scores]:
    """Scores of two models on the rows that count for both, each of shape (rows,)."""
    pairs = [(row.score(metric, model), row.score(metric, reference)) for row in scores]
    both = np.array([pair for pair in pairs if None not in pair], dtype=float).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def mean_interval(scores: Scores, bootstrap: PairedBootstrap) -> Interval:
    """The mean with Wilson's interval when all scores are 0 or 1, else with a bootstrap interval."""
    if np.isin(scores, (0, 1)).all():
        return wilson(int(scores.sum()), len(scores), bootstrap.confidence)
    return bootstrap.mean(scores)


def corpus_values(metric: CorpusMetric, answers: Sequence[ModelAnswer]) -> dict[str, MetricValue]:
    """The value, and the details under their own names. None without rows to score."""
    score = metric.compute(answers)
    if score is None:
        return {metric.name: None}
    return {metric.name: score.value} | {f"{metric.name}_{name}": text for name, text in score.details.items()}
