"""azdistill publish: what a bundle runs, into a registry of Azure ML."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def publish(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a job file or a bundle")],
    registry: Annotated[str, typer.Option(metavar="NAME", help="the registry")],
) -> None:
    """Put components and environments into a registry, once.

    Their versions are hashes of what they are: what is there already is left alone, and a bundle means the same in
    every workspace that uses the registry. Then: azdistill submit PATH --registry NAME.

    Example: azdistill publish bundle --registry house

    Exit codes: 0 all of it is there, 2 wrong input.
    """
    from azdistill.azure.registry import publish as put
    from azdistill.azure.workspace import RegistryAddress, connect
    from azdistill.cli.submit import bundle_at

    bundle = bundle_at(path)
    client: MLClient = (context.obj or connect)(RegistryAddress(registry))
    for address, fresh in put(client, bundle, registry):
        print(f"{'new  ' if fresh else 'there'}  {address}")
