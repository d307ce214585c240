"""azdistill download: fetch what a job in Azure ML made."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.workspace import Config, JobName


def download(
    context: typer.Context,
    name: JobName,
    output: Annotated[
        str | None, typer.Option("--output", metavar="OUTPUT", help="only this one, such as report; default: all")
    ] = None,
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="where to")] = Path("downloads"),
    config: Config = None,
) -> None:
    """Fetch what a job in Azure ML made.

    Example: azdistill download phi-4-mini-3f2a9c1b04de-1 --output report

    Exit codes: 0 fetched, 2 wrong input.
    """
    from azdistill.azure.jobs import download as fetch
    from azdistill.cli.workspace import workspace_client

    print(f"fetched to {fetch(workspace_client(context, config), name, folder / name, output)}")
