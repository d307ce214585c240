"""azdistill status: show a job in Azure ML, or the latest jobs."""

from collections.abc import Sequence
from typing import Annotated

import typer

from azdistill.cli.workspace import Config


def status(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="name of the job; default: the latest jobs")
    ] = None,
    config: Config = None,
) -> None:
    """Show a job in Azure ML and its nodes, or the latest jobs.

    Example: azdistill status phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 shown, 2 wrong input.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    client = workspace_client(context, config)
    if name is None:
        _print_columns([("job", "status"), *((job.name, job.status) for job in jobs.list_jobs(client))])
        return
    job = jobs.status(client, name)
    print(f"{job.display_name}: {job.status}")
    print(job.studio_url)
    _print_columns([(node.node, node.status) for node in job.nodes])


def _print_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"{left.ljust(width)}  {right}")
