"""Judge: how good a judge finds an answer, from the verdicts of step judge."""

from collections.abc import Sequence
from dataclasses import replace

from azdistill.metrics.metric import Metric, ModelAnswer, RowMetric


def score(answer: ModelAnswer) -> float | None:
    """The score from the verdicts on the row. A row without all verdicts does not count."""
    return answer.judge_score


# `tasks` is empty: without a judge, no report shows it.
METRIC = RowMetric(
    name="judge",
    label="judge score",
    unit="score",
    score=score,
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    tasks=(),
    client_names=("judge",),
)


def with_judge(metrics: Sequence[Metric], has_judge: bool) -> list[Metric]:
    """The metrics for a job that has a judge, or none."""
    if has_judge:
        return [replace(metric, tasks=None) if metric.name == METRIC.name else metric for metric in metrics]
    return [metric for metric in metrics if metric.name != METRIC.name]
