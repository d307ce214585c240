"""azdistill outputs: show the paths of a job's outputs in Azure ML."""

import typer

from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config, JobName


def outputs(context: typer.Context, name: JobName, config: Config = None) -> None:
    """Show the paths of a job's outputs in Azure ML.

    Example: azdistill outputs phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 shown, 2 wrong input.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    for output, path in jobs.outputs(workspace_client(context, config), name).items():
        print_text(f"{output}  {path or '(not written yet)'}")
