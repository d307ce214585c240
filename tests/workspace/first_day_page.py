"""The table of docs/azure-first-run.md: each fault of the first day, and what the checks say about it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.workspace.azurite import azurite
from tests.workspace.first_day import FAULTS, FirstDayFault, check_with

if TYPE_CHECKING:
    from azdistill.azure.checks.result import CheckResult

PAGE = Path(__file__).parents[2] / "docs" / "azure-first-run.md"
BEGIN, END = "<!-- generated: faults -->", "<!-- end -->"


def reports() -> Iterator[tuple[FirstDayFault, "CheckResult | None"]]:
    """Each fault, planted in an empty workspace, and the result that reports it."""
    from tests.workspace.clients import client_for, empty_workspace
    from tests.workspace.credential import SimulatedCredential

    with tempfile.TemporaryDirectory() as name, azurite(Path(name)) as storage:
        for number, fault in enumerate(FAULTS):
            folder = Path(name, f"fault-{number}")
            folder.mkdir()
            with empty_workspace(storage) as workspace, client_for(workspace, SimulatedCredential()) as client:
                yield fault, fault.report(check_with(fault, workspace, client, folder))


def row(fault: FirstDayFault, report: "CheckResult") -> str:
    """One line of the table. Commands are left out: they name the user's own workspace."""
    problem = report.problem
    text = "; ".join(filter(None, (problem.message, problem.fix))) if problem else report.detail
    return f"| {fault.name} | {report.status} | {_cell(f'{report.checked}: {text}')} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def page() -> str:
    """The page with the table of the faults. Raises AssertionError for a fault that is not reported."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [BEGIN, "| fault | status | what `doctor` and `submit` say |", "| --- | --- | --- |"]
    for fault, report in reports():
        assert report, f"{fault.name}: not reported"
        lines.append(row(fault, report))
    return before + "\n".join([*lines, END]) + after
