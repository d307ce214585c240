"""azdistill submit: a job or a bundle to Azure ML."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Rows, Settings, with_rows
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from azdistill.azure.submission import Submitted


def submit(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a job file or a bundle")],
    settings: Settings = None,
    rows: Rows = None,
    registry: Annotated[
        str | None, typer.Option(metavar="NAME", help="run what `azdistill publish` put into this registry")
    ] = None,
    config: Config = None,
    check: Annotated[bool, typer.Option("--check", help="only look whether all is there; send nothing")] = False,
    again: Annotated[bool, typer.Option("--again", help="also when the same job is done already")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="stay, and print what the job says")] = False,
) -> None:
    """Send a job to an Azure ML workspace, once.

    It goes as the bundle that `azdistill run` runs here; a job file is compiled first, to bundles/NAME. Workspace,
    compute, quota, connections, data and models are looked at before anything is sent, and an empty blob is written
    and removed to see whether you may. The same bundle with the same inputs is never sent twice: a job that is on
    its way or done is found again, and one that failed gets a next attempt, which reuses what was done.

    Example: azdistill submit job.yaml --rows 50 --follow

    Exit codes: 0 sent (with --follow: done), 1 it failed, 2 wrong input, 3 a gate refused the student.
    """
    from azdistill.azure.checks.order import check_bundle, stop_at_wrong
    from azdistill.azure.submission import submit as send
    from azdistill.cli.request import settings_of
    from azdistill.cli.stream import follow_job
    from azdistill.cli.workspace import workspace_client

    inputs = settings_of(with_rows(settings, rows))
    bundle = bundle_at(path)
    client = workspace_client(context, config)
    for found in stop_at_wrong(check_bundle(client, bundle, registry, date.today())):
        print(f"{'' if found.state == 'ok' else 'warning: '}{found}")
    if check:
        return
    sent = send(client, bundle, inputs, registry=registry, again=again)
    print(_told(sent))
    if follow:
        follow_job(client, sent.name)


def bundle_at(path: Path) -> Path:
    from azdistill.cli.paths import pipeline_file, read_job
    from azdistill.job.bundle import compile_job

    if found := pipeline_file(path):
        return found.parent
    job = read_job(path)
    return compile_job(job, Path("bundles", job.name)).parent


def _told(sent: "Submitted") -> str:
    how = f"is there already, {sent.status}: nothing was sent" if sent.attached else f"sent, {sent.status}"
    return f"job {sent.name}: {how}\n{sent.studio_url}\nfollow it:  azdistill stream {sent.name}"
