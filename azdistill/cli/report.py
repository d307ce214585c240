"""azdistill report: the report of a run, or a page about a run that is in progress."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder, or its name in runs/")],
    watch: Annotated[bool, typer.Option("--watch", help="write a page about the run until it ends")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="page of --watch; default: watch.html in the run folder"),
    ] = None,
) -> None:
    """Show where the report of a run is, or watch a run.

    With --watch, a page shows the graph with the state of each node, the last lines of the logs and the loss, and is
    written again every second. Open it in a browser: it is a file without a server, and reloads itself. It ends with
    the run, as the report if there is one. Ctrl-C ends only the watching.

    Example: azdistill report quickstart --watch

    Exit codes: 0 shown or ended, 2 there is no such run or report, 130 interrupted.
    """
    from collections import deque

    from azdistill.contracts.errors import InputError
    from azdistill.local_runs.watch import report_of
    from azdistill.local_runs.watch import watch as watch_run

    if not watch:
        if output is not None:
            raise InputError("only --watch writes a page", subject=f"--output {str(output)!r}", fix="add --watch")
        print_text(report_of(run))
        return
    pages = watch_run(run, output)
    page = next(pages)
    print_text(f"open in a browser: {page.resolve().as_uri()}", flush=True)
    deque(pages, maxlen=0)
    print_text(f"the run has ended: {page}")
