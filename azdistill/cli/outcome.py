"""What a run left, told at its end."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.cli.progress import last_line
from azdistill.contracts.errors import DataError, GateRefused
from azdistill.contracts.files import read_json
from azdistill.engine.local.results import RunResult
from azdistill.local_runs.request import Request

if TYPE_CHECKING:
    from rich.console import Group

REFUSED = GateRefused.exit_code
WIDTH = 120
"""Columns of the summary where no terminal tells its own."""


def tell(result: RunResult) -> None:
    """Print the report's summary, or where the outputs lie.

    Raises GateRefused when a gate is all that failed, NodeFailed for any other failure.
    """
    report = result.outputs.get(("", "report"))
    summary = _summary(report) if report else None
    if report and summary:
        _tell_report(summary, report, result.folder)
    elif not result.failed:
        _tell_outputs(result)
    if _is_refusal(result):
        raise GateRefused("; ".join(last_line(node.log) for node in result.failed))
    result.check()


def tell_rehearsal(result: RunResult, request: Request) -> None:
    """Without the figures, which mean nothing. Raises NodeFailed as `tell` does."""
    result.check()
    report = result.outputs.get(("", "report"))
    if report:
        print(f"report (its figures mean nothing):  {_near(report / 'report.html')}")
    print(f"dry run: {len(result.nodes)} nodes fit together; no teacher was asked, nothing was published")
    print(f"the run itself:  {shlex.join(['azdistill', 'run', str(request.path)])}")


def _summary(report: Path) -> "Group | None":
    """None for a report that is not of our making, or has no report.json."""
    from pydantic import ValidationError

    from azdistill.reporting.console import summary

    try:
        return summary(read_json(report / "report.json"))
    except (DataError, ValidationError):
        return None


def _tell_report(summary: "Group", report: Path, folder: Path) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDTH).print(summary)
    print(f"report:               {_near(report / 'report.html')}")
    print(f"talk to the student:  {shlex.join(['azdistill', 'chat', str(folder)])}")


def _tell_outputs(result: RunResult) -> None:
    """The pipeline's own outputs, or those of its nodes when it promotes none."""
    own = {name: path for (node, name), path in result.outputs.items() if not node}
    shown = own or {f"{node}.{name}": path for (node, name), path in result.outputs.items()}
    for name, path in shown.items():
        print(f"{name}: {_near(path)}")


def _is_refusal(result: RunResult) -> bool:
    evaluation = result.outputs.get(("", "evaluation"))
    if not evaluation or not result.failed or any(node.exit_code != REFUSED for node in result.failed):
        return False
    try:
        gate = read_json(evaluation / "gate.json")
    except DataError:
        return False
    return isinstance(gate, dict) and gate.get("register") is False


def _near(path: Path) -> str:
    """Relative to the current folder where it lies below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
