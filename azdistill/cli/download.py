"""azdistill download: download the outputs of a job in Azure ML."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.workspace import Config, JobName


def download(
    context: typer.Context,
    name: JobName,
    output: Annotated[
        str | None, typer.Option("--output", metavar="OUTPUT", help="one output, such as report; default: all")
    ] = None,
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="target folder")] = Path("downloads"),
    config: Config = None,
) -> None:
    """Download the outputs of a job in Azure ML.

    Example: azdistill download phi-4-mini-3f2a9c1b04de-1 --output report

    Exit codes: 0 downloaded, 2 wrong input.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    target = jobs.download(workspace_client(context, config), name, folder / name, output)
    print(f"downloaded to {target}")
