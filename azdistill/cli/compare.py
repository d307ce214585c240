"""azdistill compare: the students of several runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import console, framed_table, print_text

FOLDERS = typer.Argument(
    metavar="RUN", help="folders of two or more finished runs, or their names in runs/; the first one is the reference"
)


def compare(
    runs: Annotated[list[Path], FOLDERS],
    metric: Annotated[
        str | None,
        typer.Option("--metric", metavar="NAME", help="metric of single rows; default: the primary metric of the runs"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="also write an HTML page to this file")
    ] = None,
) -> None:
    """Compare the students of several runs.

    The difference is that of the mean scores on the test rows that a run shares with the first one. Its interval is
    paired: both students answered the same rows. It shows a change if it excludes 0.

    Example: azdistill compare runs/lora runs/full -o comparison.html

    Exit codes: 0 compared, 2 wrong input.
    """
    from azdistill.cli.paths import write_output
    from azdistill.local_runs.compare import compare_runs
    from azdistill.local_runs.run_folder import RUNS
    from azdistill.reporting.comparison import comparison_page, comparison_table

    comparison = compare_runs([run if run.exists() else RUNS / run for run in runs], metric)
    columns, rows = comparison_table(comparison)
    console().print(framed_table(columns, rows))
    if output is not None:
        write_output(output, comparison_page(comparison))
        print_text(f"page: {output}")
