"""azdistill publish: publish the components of a bundle in an Azure ML registry."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text


def publish(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="job file or bundle")],
    registry: Annotated[str, typer.Option(metavar="NAME", help="name of the registry")],
) -> None:
    """Publish the components of a bundle in an Azure ML registry.

    Their environments are published too. The version of an asset is a hash of its content: assets that the registry
    already has are not sent again. Submit the job with: azdistill submit PATH --registry NAME.

    Example: azdistill publish bundle --registry contoso

    Exit codes: 0 all are published, 1 Azure cannot be reached, 2 wrong input.
    """
    from azdistill.azure.registry import publish as publish_bundle
    from azdistill.azure.workspace import RegistryAddress
    from azdistill.cli.paths import bundle_of
    from azdistill.cli.workspace import open_client, suppress_output

    bundle = bundle_of(path)
    assets = publish_bundle(open_client(context, RegistryAddress(registry)), bundle, registry)
    while True:
        with suppress_output():
            published = next(assets, None)
        if published is None:
            return
        address, is_new = published
        print_text(f"{'new      ' if is_new else 'unchanged'}  {address}")
