"""azdistill logs: what a node of a run says."""

from pathlib import Path
from typing import Annotated

import typer


def logs(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder, or its name in runs/")],
    node: Annotated[
        str | None, typer.Argument(metavar="NODE", help="default: the one that failed or runs, else the last")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the node ends")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many of the last lines; 0 for all")] = 20,
) -> None:
    """Show the last lines of a node's log.

    Example: azdistill logs quickstart train -f

    Exit codes: 0 shown, 2 there is no such run or node, 130 interrupted.
    """
    from azdistill.cli.log_lines import chosen_node, show
    from azdistill.local_runs.run_folder import the_run

    found = the_run(run)
    show(found, chosen_node(found, node), lines, follow)
