"""azdistill status: show a job in Azure ML, or the latest jobs."""

from collections.abc import Sequence
from typing import Annotated

import typer

from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config


def status(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="name of the job; default: the latest jobs")
    ] = None,
    config: Config = None,
) -> None:
    """Show a job in Azure ML and its nodes, or the latest jobs.

    Azure ML can report a pipeline as Completed although a node failed, so the result of an ended job is read from its
    nodes and its gate.json. The list of the latest jobs shows the status that Azure ML reports.

    Example: azdistill status phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 the job runs or completed, 1 it failed, 2 wrong input, 3 the gate refused the student, 4 gate.json
    cannot be read.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    client = workspace_client(context, config)
    if name is None:
        _print_columns([("job", "status"), *((job.name, job.status) for job in jobs.list_jobs(client))])
        return
    job = jobs.status(client, name)
    print_text(f"{job.display_name}: {job.status}")
    print_text(job.studio_url)
    _print_columns([(node.node, f"{node.status}  {node.waits_for}".rstrip()) for node in job.nodes])
    jobs.raise_for_failure(client, job)


def _print_columns(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print_text(f"{left.ljust(width)}  {right}")
