"""Azure ML client of a command, and the output of Azure's SDK on the terminal."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.azure.workspace import RegistryAddress, WorkspaceAddress

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="config.json of the workspace; default: in this folder or one above it"
    ),
]
JobName = Annotated[str, typer.Argument(metavar="NAME", help="name of the job, as submit printed it")]

SDK_LOGGERS = ("azure.ai.ml", "azure.ai.ml._utils._experimental", "azure.identity", "azure.core", "msal")


def workspace_client(context: typer.Context, config: Path | None) -> "MLClient":
    """The SDK's client of the workspace. The SDK's warnings are off until the command ends."""
    from azdistill.azure.workspace import find_address

    return open_client(context, find_address(config))


def open_client(context: typer.Context, address: "WorkspaceAddress | RegistryAddress") -> "MLClient":
    """The SDK's client of a workspace or registry. `main(open_workspace)` replaces `connect`."""
    from azdistill.azure.workspace import connect

    context.with_resource(quiet_sdk())
    client: MLClient = (context.obj or connect)(address)
    return client


@contextlib.contextmanager
def quiet_sdk() -> Iterator[None]:
    """Import Azure's SDK and hide its warnings about itself. Warning filters and log levels are restored at the end.

    Raises InputError without the extra `azure`.
    """
    from azdistill.azure.workspace import require_sdk

    levels = {name: logging.getLogger(name).level for name in SDK_LOGGERS}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(azure|msrest|marshmallow)(\.|$)")
        try:
            _set_levels(dict.fromkeys(SDK_LOGGERS, logging.ERROR))
            require_sdk()
            _set_levels(dict.fromkeys(SDK_LOGGERS, logging.ERROR))  # again, because the import sets levels
            yield
        finally:
            _set_levels(levels)


def _set_levels(levels: dict[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Hide the dots, empty lines and terminal codes that the SDK prints while it uploads."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
