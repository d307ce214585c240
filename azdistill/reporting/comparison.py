"""Table and page of the comparison of several runs."""

from collections.abc import Callable

from azdistill.contracts.comparison import ComparedRun, RunComparison
from azdistill.contracts.results import Interval
from azdistill.metrics.registry import metric_named
from azdistill.reporting.figures import count, format_metric, ratio_interval, seconds, size
from azdistill.reporting.render import render_page

Row = tuple[str, ...]


def comparison_table(comparison: RunComparison) -> tuple[Row, list[Row]]:
    """Headings, and a row for each figure with a cell for each run."""
    metric, runs = metric_named(comparison.metric), comparison.runs
    figures: list[tuple[str, Callable[[ComparedRun], str]]] = [
        (metric.label, lambda run: format_metric(metric, run.score)),
        ("test rows", lambda run: f"{run.rows:,}"),
        (f"compared with {runs[0].name}", difference),
        ("retention", lambda run: ratio_interval(run.retention)),
        ("gain", lambda run: ratio_interval(run.gain)),
        ("decision", lambda run: run.decision),
        ("latency p50", lambda run: seconds(run.model.value("latency_p50_s"))),
        ("weights", lambda run: size(run.model.value("weight_bytes"))),
        ("parameters", lambda run: count(run.model.value("parameters"))),
    ]
    return ("", *(run.name for run in runs)), [(label, *map(show, runs)) for label, show in figures]


def difference(run: ComparedRun) -> str:
    """The difference from the first run, and what it shows."""
    if run.difference is None:
        return ""
    if not run.shared_rows:
        return "no shared test rows"
    if run.different_answers == 0:
        return f"the same answers on all {run.shared_rows:,} shared rows"
    return f"{direction(run.difference)}: {ratio_interval(run.difference)} on {run.shared_rows:,} shared rows"


def direction(measured: Interval, *, higher_is_better: bool = True) -> str:
    """Better or worse, if the interval excludes 0."""
    if measured.low is not None and measured.low > 0:
        return "better" if higher_is_better else "worse"
    if measured.high is not None and measured.high < 0:
        return "worse" if higher_is_better else "better"
    return "not different"


def comparison_page(comparison: RunComparison) -> str:
    """One self-contained HTML page, without scripts."""
    columns, rows = comparison_table(comparison)
    metric = metric_named(comparison.metric)
    return render_page(
        "comparison.html.jinja",
        comparison=comparison,
        columns=columns,
        rows=rows,
        metric=metric,
        direction=direction,
    )
