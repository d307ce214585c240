"""azdistill submit: submit a job to an Azure ML workspace."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.options import Rows, Settings, read_settings
from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config


def submit(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="job file or bundle")],
    settings: Settings = None,
    rows: Rows = None,
    registry: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="run the components that `azdistill publish` published in this registry"),
    ] = None,
    config: Config = None,
    check: Annotated[bool, typer.Option("--check", help="check the workspace only; submit nothing")] = False,
    again: Annotated[bool, typer.Option("--again", help="submit again although the same job has completed")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="show the job's log until it ends, as `azdistill stream`")
    ] = False,
) -> None:
    """Submit a job to an Azure ML workspace.

    The workspace gets the same bundle that `azdistill run` runs on this machine; a job file is compiled first, to
    bundles/NAME. Before anything is sent, the command checks workspace, compute, quota, connections, data and models.
    It writes and removes an empty blob to check your rights on the storage. The same bundle with the same inputs is
    submitted once: if its job is running or completed, nothing is sent. If its job failed, a new attempt is submitted,
    which reuses completed nodes.

    Example: azdistill submit job.yaml --rows 50 --follow

    Exit codes: 0 submitted (with --follow: completed), 1 failed, 2 wrong input, 3 the gate refused the student, 4
    gate.json cannot be read.
    """
    from azdistill.azure.checks.bundle import check_bundle, stop_at_problems
    from azdistill.azure.submission import submit as submit_bundle
    from azdistill.cli.paths import bundle_of
    from azdistill.cli.stream import stream_job
    from azdistill.cli.workspace import suppress_output, workspace_client

    inputs = read_settings(settings, rows)
    bundle = bundle_of(path, settings, to_submit=True)
    client = workspace_client(context, config)
    for result in stop_at_problems(check_bundle(client, bundle, registry, date.today())):
        print_text(result)
    if check:
        return
    with suppress_output():
        job = submit_bundle(client, bundle, inputs, registry=registry, again=again)
    outcome = "already in the workspace, nothing sent" if job.attached else "submitted"
    print_text(f"job {job.name}: {outcome}; status {job.status}")
    print_text(job.studio_url)
    print_text(f"follow it:  azdistill stream {job.name}")
    if follow:
        stream_job(client, job.name)
