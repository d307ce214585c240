"""The metric of a regression suite: a row metric that student and baseline have without a teacher and a judge."""

from collections.abc import Sequence

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import Problem, suggest
from azdistill.contracts.task import TaskChoice
from azdistill.metrics import agreement, form, judge, own
from azdistill.metrics.metric import Metric, RowMetric
from azdistill.metrics.primary import DEFAULTS

# The teacher answers no row of a suite, and no judge reads the answers.
UNAVAILABLE = frozenset({agreement.METRIC.name, judge.METRIC.name})


def suite_metric(name: str | None, task: TaskChoice, declared: Sequence[Metric]) -> RowMetric:
    """The metric with a name, or the primary metric of the task. Raises InputError for one that does not fit."""
    if name is None:
        return DEFAULTS[task][0]
    if problems := suite_metric_problems(name, task, declared):
        raise InputError(problems=problems)
    return next(metric for metric in _row_metrics(declared) if metric.name == name)


def needs_reference(metric: RowMetric) -> bool:
    """True if a row without a reference answer does not count. A metric of one's own decides it itself."""
    return metric.name not in {own.METRIC.name, *(other.name for other in form.METRICS)}


def suite_metric_problems(name: str, task: TaskChoice, declared: Sequence[Metric]) -> list[Problem]:
    """A problem for a metric that does not score rows, or does not suit the task."""
    metrics = {metric.name: metric for metric in _row_metrics(declared)}
    suitable = [metric.name for metric in metrics.values() if metric.suits(task)]
    if name in suitable:
        return []
    if name not in metrics:
        message, fix = "not a metric that scores rows of a suite", suggest(name, suitable)
        return [Problem(code="unknown_metric", field=("metric",), value=name, message=message, fix=fix)]
    message, fix = f"does not suit task {task}", f"choose one of {', '.join(suitable)}, or another task"
    return [Problem(code="unsuitable_metric", field=("metric",), value=name, message=message, fix=fix)]


def _row_metrics(declared: Sequence[Metric]) -> list[RowMetric]:
    return [metric for metric in declared if isinstance(metric, RowMetric) and metric.name not in UNAVAILABLE]
