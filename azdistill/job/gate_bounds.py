"""Checks of `evaluate.gates.bounds`: the metric exists, and the rows and the comparison suit it."""

from collections.abc import Iterable, Iterator, Sequence

from azdistill.contracts.evaluate import SLICES, MetricBound
from azdistill.contracts.problems import Problem, suggest
from azdistill.metrics.metric import Metric, RowMetric


def bound_problems(
    gates: Sequence[MetricBound], columns: Iterable[str], declared: Sequence[Metric]
) -> Iterator[Problem]:
    """Problems of gates on a metric that does not exist, on a slice that does not, or on a slice of a metric that does
    not score rows. `columns` are the columns by which the evaluation is sliced."""
    numbers = [metric for metric in declared if metric.unit != "text"]
    by_name = {name: metric for metric in numbers for name in (metric.name, *metric.client_names)}
    slices = [*columns, *SLICES]
    for index, gate in enumerate(gates):
        field = ("evaluate", "gates", "bounds", index)
        metric = by_name.get(gate.metric)
        if metric is None:
            message, fix = "not a metric that a gate can bound", suggest(gate.metric, list(by_name))
            path = (*field, "metric")
            yield Problem(code="unknown_metric", field=path, value=gate.metric, message=message, fix=fix)
        elif not isinstance(metric, RowMetric):
            message = f"{gate.metric} has no score of single rows"
            for name in ("slice", "compared_with"):
                if getattr(gate, name) is not None:
                    fix = f"remove {name}"
                    yield Problem(code="incompatible_fields", message=message, fix=fix, field=(*field, name))
        for name in gate.slice if isinstance(gate.slice, dict) else ():
            if name not in slices:
                fix = f"{suggest(name, slices)}; data.slice_columns names columns of the rows"
                yield Problem(code="unknown_slice", message="not a slice", fix=fix, field=(*field, "slice", name))
