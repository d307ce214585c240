"""The workspace that a verb is about."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="config.json of the workspace; default: here or in a folder above"),
]
JobName = Annotated[str, typer.Argument(metavar="NAME", help="the job's name, as submit printed it")]


def workspace_client(context: typer.Context, config: Path | None) -> "MLClient":
    """A client for the workspace that is meant; who calls `main` may say how it is opened."""
    from azdistill.azure.workspace import connect, find_address

    client: MLClient = (context.obj or connect)(find_address(config))
    return client
