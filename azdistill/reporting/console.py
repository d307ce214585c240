"""Summary of a run on the terminal, from report.json."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from azdistill.metrics.registry import metric_named
from azdistill.reporting.figures import ratio_interval
from azdistill.reporting.messages import SIMULATED, judge_warning, reasons, registration, trials_sentence, truncation
from azdistill.reporting.report import Report
from azdistill.reporting.tables import Table as Cells
from azdistill.reporting.tables import comparison, suite_table, teacher_table

COLOURS = {"passed": "green", "refused": "red", "inconclusive": "yellow"}


def summary(report_json: Mapping[str, Any]) -> Group:
    """The content of report.json for rich to print: metrics, retention, suites, removed rows, registration."""
    report = Report.model_validate(report_json)
    return Group(
        Text(report.headline, style=f"bold {COLOURS[report.verdict.decision]}"),
        _metrics(report),
        Text(
            f"{metric_named(report.primary_metric).label}: retention {ratio_interval(report.retention)}, "
            f"gain {ratio_interval(report.gain)}"
        ),
        *_tables(suite_table(report), teacher_table(report.usage)),
        *([Text(trials_sentence(report.trials))] if report.trials else []),
        *(
            Text(f"{stage.name}: {stage.rows:,} rows; removed: {reasons(stage.left_behind)}")
            for stage in report.stages
            if stage.left_behind
        ),
        Text(registration(report)),
        *(Text(text, style="yellow") for text in (truncation(report), _judge_warning(report)) if text),
        *([Text(SIMULATED, style="dim")] if report.usage.simulated else []),
    )


def _judge_warning(report: Report) -> str | None:
    return judge_warning(report.judge, report.judge_usage) if report.judge and report.judge_usage else None


def _metrics(report: Report) -> Table:
    rows = [(row.label, *row.cells, row.compared) for row in comparison(report) if row.on_console]
    return _table(("", "teacher", "baseline", "student", "student is"), rows)


def _tables(*tables: Cells | None) -> Iterator[Table]:
    for table in filter(None, tables):
        yield _table(table.columns, table.rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A word that is wider than its column continues on the next line."""
    table = Table(*(Column(column, overflow="fold") for column in columns))
    for row in rows:
        table.add_row(*map(Text, row))
    return table
