"""azdistill status: jobs in Azure ML, at a glance."""

from collections.abc import Sequence
from typing import Annotated

import typer

from azdistill.cli.workspace import Config


def status(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="the job's name; none: the latest jobs")] = None,
    config: Config = None,
) -> None:
    """Show a job in Azure ML and its nodes, or the latest jobs.

    Example: azdistill status phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 shown, 2 wrong input.
    """
    from azdistill.azure.jobs import listed
    from azdistill.azure.jobs import status as look
    from azdistill.cli.workspace import workspace_client

    client = workspace_client(context, config)
    if name is None:
        _print([("job", "status"), *((job.name, job.status) for job in listed(client))])
        return
    found = look(client, name)
    print(f"{found.display_name}: {found.status}\n{found.studio_url}")
    _print([(node.node, node.status) for node in found.nodes])


def _print(rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(left) for left, _ in rows), default=0)
    for left, right in rows:
        print(f"{left.ljust(width)}  {right}")
