"""azdistill cancel: cancel a job in Azure ML."""

import typer

from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config, JobName


def cancel(context: typer.Context, name: JobName, config: Config = None) -> None:
    """Cancel a job in Azure ML.

    The results of completed nodes are kept, and the next attempt reuses them.

    Example: azdistill cancel phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 it is being cancelled or has ended, 2 wrong input.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    job = jobs.cancel(workspace_client(context, config), name)
    print_text(f"job {job.name}: {job.status}")
