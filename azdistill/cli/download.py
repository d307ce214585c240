"""azdistill download: download the outputs of a job in Azure ML, or a registered model with its card."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

MODEL = "azureml:"


def download(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="name of a job, as submit printed it; or a registered model, azureml:NAME or azureml:NAME:VERSION",
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", metavar="OUTPUT", help="one output of a job, such as report; default: all")
    ] = None,
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="target folder")] = Path("downloads"),
    config: Config = None,
) -> None:
    """Download the outputs of a job, or a model with its card.

    Example: azdistill download phi-4-mini-3f2a9c1b04de-1 --output report

    A model is downloaded with its model card, README.md, which the job that registered it has written:
    azdistill download azureml:phi-4-mini-distilled:3

    Exit codes: 0 downloaded, 2 wrong input.
    """
    from azdistill.azure import jobs
    from azdistill.cli.workspace import workspace_client

    if name.startswith(MODEL):
        _download_model(context, name, output, folder, config)
    else:
        target = jobs.download(workspace_client(context, config), name, folder / name, output)
        print_text(f"downloaded to {target}")


def _download_model(
    context: typer.Context, address: str, output: str | None, folder: Path, config: Path | None
) -> None:
    from azdistill.azure.models import download_with_card, find_model
    from azdistill.cli.workspace import suppress_output, workspace_client
    from azdistill.contracts.errors import InputError

    if output is not None:
        raise InputError("a model has no outputs", subject=f"--output {output!r}", fix="leave --output out")
    client = workspace_client(context, config)
    model = find_model(client, address)
    target = folder / model.name / model.version
    with suppress_output():
        card = download_with_card(client, model, target)
    print_text(f"downloaded to {target}")
    print_text(f"model card: {card or 'none: azdistill did not register this model, or its job was deleted'}")
