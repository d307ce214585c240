"""azdistill outputs: where lies what a job in Azure ML made."""

import typer

from azdistill.cli.workspace import Config, JobName


def outputs(context: typer.Context, name: JobName, config: Config = None) -> None:
    """Say where the outputs of a job in Azure ML lie.

    Example: azdistill outputs phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 told, 2 wrong input.
    """
    from azdistill.azure.jobs import outputs as look
    from azdistill.cli.workspace import workspace_client

    for output, place in look(workspace_client(context, config), name).items():
        print(f"{output}  {place or '(no place yet)'}")
