"""azdistill cancel: end a job in Azure ML."""

import typer

from azdistill.cli.workspace import Config, JobName


def cancel(context: typer.Context, name: JobName, config: Config = None) -> None:
    """End a job in Azure ML. What its nodes have done is kept and reused by the next attempt.

    Example: azdistill cancel phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 it ends or has ended, 2 wrong input.
    """
    from azdistill.azure.jobs import cancel as end
    from azdistill.cli.workspace import workspace_client

    found = end(workspace_client(context, config), name)
    print(f"job {found.name}: {found.status}")
