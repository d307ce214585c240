"""azdistill stream: what a job in Azure ML says, until it has ended."""

from typing import TYPE_CHECKING

import typer

from azdistill.cli.workspace import Config, JobName

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def stream(context: typer.Context, name: JobName, config: Config = None) -> None:
    """Follow a job in Azure ML to its end.

    Example: azdistill stream phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 done, 1 it failed, 2 wrong input, 3 a gate refused the student, 130 you left; the job goes on.
    """
    from azdistill.cli.workspace import workspace_client

    follow_job(workspace_client(context, config), name)


def follow_job(client: "MLClient", name: str) -> None:
    from azdistill.azure.jobs import stream as follow

    found = follow(client, name)
    print(f"job {found.name}: {found.status}\nfetch what it made:  azdistill download {found.name}")
