"""azdistill runs: the runs in a folder, at a glance."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azdistill.local_runs.run_folder import RunFolder

HEADINGS = ("run", "state", "last active", "node time", "nodes", "decision", "accuracy")


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the folder that holds run folders")] = Path("runs"),
) -> None:
    """List the runs of a folder, the latest first.

    Node time is that of all nodes together. Accuracy is the student's, on the test rows. A run that was
    killed reads interrupted; run it again to continue.

    Example: azdistill runs experiments

    Exit codes: 0 listed, 2 there is no such folder.
    """
    from azdistill.contracts.errors import InputError
    from azdistill.local_runs.run_folder import runs_in

    if not folder.is_dir():
        raise InputError(
            f"{str(folder)!r}: no such folder; name the one that holds your runs, or start one: azdistill run"
        )
    rows = [HEADINGS, *map(_row, runs_in(folder))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _row(run: "RunFolder") -> tuple[str, ...]:
    from datetime import datetime

    completed = sum(record.state == "completed" for record in run.records.values())
    when = datetime.fromtimestamp(run.when).strftime("%Y-%m-%d %H:%M")
    ended = run.state in ("completed", "refused")  # else the evaluation may be of an earlier try
    accuracy = f"{run.accuracy:.1%}" if ended and run.accuracy is not None else ""
    nodes = f"{completed} of {len(run.records)}"
    decision = run.decision if ended else ""
    return run.path.name, run.state, when, _duration(run.seconds), nodes, decision, accuracy


def _duration(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
