"""azdistill clean: remove runs that are no longer wanted."""

from pathlib import Path
from typing import Annotated

import typer


def clean(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, or their names in runs/")],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="only what an interrupted training would continue from")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="don't ask")] = False,
) -> None:
    """Remove runs, or only their checkpoints.

    What the teacher answered and what was registered lies elsewhere (AZDISTILL_HOME) and stays.

    Example: azdistill clean first second --yes

    Exit codes: 0 removed, 1 you said no, 2 no run lies there or it is in use.
    """
    from azdistill.cli.removal import ask, remove, unwanted
    from azdistill.local_runs.run_folder import the_run

    named = {found.path.resolve(): found for found in map(the_run, runs)}
    found = [unwanted(run, checkpoints=checkpoints) for run in named.values()]
    if not yes:
        ask(found)
    for one in found:
        remove(one)
