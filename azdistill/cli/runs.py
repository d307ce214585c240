"""azdistill runs: list the runs in a folder."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azdistill.local_runs.run_folder import RunFolder

HEADINGS = ("run", "state", "last active", "node time", "nodes", "decision", "student")


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="folder that contains run folders, or a run folder")
    ] = Path("runs"),
    verify: Annotated[
        bool, typer.Option("--verify", help="read all files of the runs and compare them with their manifests")
    ] = False,
) -> None:
    """List the runs in a folder, the latest first.

    Node time is the sum over all nodes. Nodes are those that completed, of all in the pipeline. The last column is the
    student's primary metric on the test rows. A killed run is shown as interrupted; run it again to continue it.

    Example: azdistill runs experiments

    Exit codes: 0 listed, 2 there is no such folder, or --verify found a file that is not as it was written.
    """
    from azdistill.cli.render import print_columns, print_text
    from azdistill.contracts.errors import DataError, InputError
    from azdistill.local_runs.run_folder import read_run, runs_in

    if not folder.is_dir():
        raise InputError(
            "no such folder",
            file=folder,
            code="no_such_folder",
            fix="give the folder that contains your runs, or start one: azdistill run",
        )
    run = read_run(folder)
    listed = [run] if run else list(runs_in(folder))
    print_columns([HEADINGS, *map(_row, listed)])
    if not listed:
        print_text(f"no runs in {folder}: give the folder that contains run folders, or a run folder", file=sys.stderr)
    if verify and (problems := [problem for run in listed for problem in run.damage()]):
        raise DataError(problems=problems)


def _row(run: "RunFolder") -> tuple[str, ...]:
    from datetime import datetime

    from azdistill.local_runs.run_folder import REPORTED

    completed = sum(record.state == "completed" for record in run.records.values())
    last_active = datetime.fromtimestamp(run.last_active).strftime("%Y-%m-%d %H:%M")
    has_result = run.state in REPORTED
    metric, value = run.score
    score = f"{metric} {value:.3f}" if has_result and value is not None else ""
    nodes = f"{completed} of {run.node_count}"
    decision = run.decision if has_result else ""
    return run.path.name, run.state, last_active, _duration(run.seconds), nodes, decision, score


def _duration(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
