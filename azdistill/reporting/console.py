"""The end of a run on the terminal, from report.json."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from azdistill.reporting.messages import SIMULATED, ratio_interval, reasons, registration
from azdistill.reporting.report import Report
from azdistill.reporting.tables import comparison, teacher_table

COLOURS = {"passed": "green", "refused": "red", "inconclusive": "yellow"}


def summary(report: Mapping[str, Any]) -> Group:
    """What report.json tells, as something rich prints: table, retention, rows left behind, where the student is."""
    found = Report.model_validate(report)
    return Group(
        Text(found.headline, style=f"bold {COLOURS[found.verdict.decision]}"),
        _table(found),
        Text(f"retention {ratio_interval(found.retention)}, gain {ratio_interval(found.gain)}"),
        *_teachers(found),
        *(Text(line) for line in _left_behind(found)),
        Text(registration(found)),
        *([Text(SIMULATED, style="dim")] if found.usage.simulated else []),
    )


def _table(report: Report) -> Table:
    table = Table("", "teacher", "baseline", "student", "student is", title_justify="left")
    for line in comparison(report):
        if line.on_console:
            table.add_row(*(Text(cell) for cell in (line.label, *line.cells, line.compared)))
    return table


def _teachers(report: Report) -> Iterator[Table]:
    if found := teacher_table(report.usage):
        table = Table(*found.columns)
        for row in found.rows:
            table.add_row(*map(Text, row))
        yield table


def _left_behind(report: Report) -> list[str]:
    """One line for each stage that let rows go."""
    return [
        f"{stage.name}: {stage.rows:,} rows; {reasons(stage.left_behind)}"
        for stage in report.stages
        if stage.left_behind
    ]
