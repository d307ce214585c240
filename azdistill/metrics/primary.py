"""The primary metric of an evaluation: the row metric that retention and gain compare."""

from collections.abc import Mapping, Sequence

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import Problem, suggest
from azdistill.contracts.task import TaskChoice
from azdistill.metrics import accuracy, chrf, rouge
from azdistill.metrics.metric import Metric, RowMetric

_ROUGE_L = next(metric for metric in rouge.METRICS if metric.name == "rougeL")

# Default of each task, and why.
DEFAULTS: Mapping[TaskChoice, tuple[RowMetric, str]] = {
    "nli": (accuracy.METRIC, "one label is right"),
    "qa": (accuracy.METRIC, "a short answer is right or wrong"),
    "math": (accuracy.METRIC, "one result is right"),
    "own": (accuracy.METRIC, "the task file decides which answer is right"),
    "conversation": (chrf.SENTENCE, "many wordings of a reply are right, so the text shared with the reference counts"),
    "summarization": (_ROUGE_L, "many summaries of a text are right, so the words shared with the reference count"),
}


def primary_metric(name: str | None, task: TaskChoice, declared: Sequence[Metric]) -> tuple[RowMetric, str]:
    """The primary metric and the reason for it. Raises InputError for a name that is no such metric."""
    if name is None:
        metric, reason = DEFAULTS[task]
        return metric, f"default of task {task}: {reason}"
    if problems := primary_problems(name, declared):
        raise InputError(problems=problems)
    return next(metric for metric in _candidates(declared) if metric.name == name), "set by evaluate.primary_metric"


def primary_problems(name: str | None, declared: Sequence[Metric]) -> list[Problem]:
    """A problem for a primary metric that does not score rows, or of which less is better."""
    known = [metric.name for metric in _candidates(declared)]
    if name is None or name in known:
        return []
    message = "not a metric that scores each row, more being better"
    field = ("evaluate", "primary_metric")
    return [Problem(code="unknown_metric", field=field, value=name, message=message, fix=suggest(name, known))]


def _candidates(declared: Sequence[Metric]) -> list[RowMetric]:
    return [metric for metric in declared if isinstance(metric, RowMetric) and metric.higher_is_better]
