"""All metrics, in the order of the report."""

from collections.abc import Iterable, Mapping

from azdistill.contracts.errors import InputError
from azdistill.engine.problems import Problem, suggest
from azdistill.metrics import (
    accuracy,
    agreement,
    answered,
    bleu,
    chrf,
    f1,
    form,
    judge,
    own,
    perplexity,
    profile,
    rouge,
)
from azdistill.metrics.metric import Metric

METRICS: tuple[Metric, ...] = (
    accuracy.METRIC,
    f1.METRIC,
    own.METRIC,
    judge.METRIC,
    agreement.METRIC,
    chrf.SENTENCE,
    *rouge.METRICS,
    bleu.METRIC,
    chrf.CORPUS,
    answered.METRIC,
    *form.METRICS,
    perplexity.METRIC,
    *profile.METRICS,
)

# Metrics by the names that users may write: those in report.json, and those that `client.models.evaluate` accepts.
METRICS_BY_NAME: Mapping[str, Metric] = {
    name: metric for metric in METRICS for name in (metric.name, *metric.client_names)
}


def gated_metric(name: str) -> Metric:
    """The metric of `gates.metrics`, by its name or a name of the client. Raises InputError when no gate can bound
    it."""
    if problems := gate_problems([name]):
        raise InputError(problems=problems)
    return metric_named(name)


def metric_named(name: str) -> Metric:
    """The metric with a name, or with a name of the client. Raises InputError when there is none."""
    metric = METRICS_BY_NAME.get(name)
    if metric is None:
        raise InputError(problems=gate_problems([name]))
    return metric


def gate_problems(names: Iterable[str], declared: Iterable[Metric] = METRICS) -> list[Problem]:
    """A problem for each name in `gates.metrics` that is no metric with a better direction."""
    gated = [metric for metric in declared if metric.higher_is_better is not None]
    known = list(dict.fromkeys(name for metric in gated for name in (metric.name, *metric.client_names)))
    return [
        Problem(
            code="unknown_metric",
            field=("evaluate", "gates", "metrics", name),
            message="not a metric that a gate can bound",
            fix=suggest(name, known),
        )
        for name in names
        if name not in known
    ]
