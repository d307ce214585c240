"""azdistill deploy: serve a registered student by an endpoint of Azure ML, a managed online one or a batch one."""

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Settings
from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from azdistill.azure.deployment.batch_files import BatchRelease
    from azdistill.azure.deployment.files import Release
    from azdistill.job.model import DistillationJob


def deploy(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="JOB", help="job file with section deployment")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="azureml:NAME:VERSION, or azureml://registries/REGISTRY/models/NAME/versions/VERSION",
        ),
    ],
    batch: Annotated[
        bool,
        typer.Option("--batch", help="deploy to a batch endpoint, which answers files of rows instead of requests"),
    ] = False,
    settings: Settings = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="run folder or job with the answers for the smoke test; default: the job that registered the model",
        ),
    ] = None,
    write_only: Annotated[
        Path | None, typer.Option("--write-only", metavar="DIR", help="write the files to this folder; send nothing")
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="continue although another rollout, which was killed, holds the endpoint"),
    ] = False,
    config: Config = None,
) -> None:
    """Serve a registered student by an endpoint.

    A new deployment is created without traffic and has to answer test rows as in the evaluation. Then it gets copies of
    requests, and real ones step by step; at the end the old deployment is removed. A failure gives the old deployment
    all requests again and prints the log of the new one. The same command again continues where a rollout was
    interrupted, and does nothing if the model already has all traffic.

    With --batch, a pipeline of the steps prepare and predict becomes the default deployment of a batch endpoint. A job
    of it answers the rows of a JSONL file on the clusters compute.cpu and compute.gpu. It costs nothing without jobs.

    Example: azdistill deploy job.yaml --model azureml:support-phi-4-mini:3

    Exit codes: 0 deployed, 1 failed, 2 wrong input, 3 the smoke test refused the deployment.
    """
    from azdistill.azure.deployment.files import release_of, write_files
    from azdistill.cli.paths import writable

    job = _read_job(path, settings)
    if batch:
        _check_options(run, take_over)
        _deploy_batch(context, job, model, write_only, config)
        return
    needs_group = job.deployment and job.deployment.identity and "/" not in job.deployment.identity
    release = release_of(job, model, _group_id(config) if needs_group else None)
    if write_only:
        with writable(write_only):
            files = write_files(release, write_only)
        print_text(*files, sep="\n")
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # releases the lock of the endpoint
    _roll_out(context, release, run, take_over, config)


def _read_job(path: Path, settings: "Sequence[str] | None") -> "DistillationJob":
    """The job, whose data files may be missing. Prints the warnings about its deployment. Raises SpecError."""
    from azdistill.cli.options import read_job_settings
    from azdistill.cli.paths import job_file, print_warnings
    from azdistill.contracts.errors import SpecError
    from azdistill.job.loading import check_job

    job, problems = check_job(job_file(path), settings=read_job_settings(settings, is_job=True), files=False)
    if job is None:
        raise SpecError(problems=problems)
    print_warnings(problem for problem in problems if problem.field[:1] == ("deployment",))
    return job


def _check_options(run: str | None, take_over: bool) -> None:
    """Raises InputError for options of a rollout."""
    from azdistill.contracts.errors import InputError

    for option in ["--run"] * (run is not None) + ["--take-over"] * take_over:
        raise InputError(
            "is for online endpoints: a batch endpoint has no smoke test and no traffic",
            subject=option,
            code="incompatible_options",
            fix="remove it, or remove --batch",
        )


def _deploy_batch(
    context: typer.Context, job: "DistillationJob", model: str, write_only: Path | None, config: Path | None
) -> None:
    from azdistill.azure.deployment.batch_files import batch_release_of, write_batch_files
    from azdistill.cli.paths import writable

    release = batch_release_of(job, model)
    if write_only:
        with writable(write_only):
            files = write_batch_files(release, write_only)
        print_text(*files, sep="\n")
        return
    _create_batch(context, release, config)


def _create_batch(context: typer.Context, release: "BatchRelease", config: Path | None) -> None:
    import tempfile

    from azdistill.azure.deployment.batch import deploy_batch
    from azdistill.azure.deployment.batch_files import write_batch_files
    from azdistill.azure.models import find_model
    from azdistill.cli.workspace import suppress_output, workspace_client

    client = workspace_client(context, config)
    with tempfile.TemporaryDirectory() as folder:
        with suppress_output():
            find_model(client, release.model)  # fails before anything is created
            write_batch_files(release, Path(folder))
        _print(deploy_batch(client, release, Path(folder)))


def _group_id(config: Path | None) -> str:
    """Resource id of the workspace's resource group."""
    from azdistill.azure.workspace import find_address

    address = find_address(config)
    return f"/subscriptions/{address.subscription_id}/resourceGroups/{address.resource_group}"


def _roll_out(
    context: typer.Context, release: "Release", run: str | None, take_over: bool, config: Path | None
) -> None:
    import tempfile

    from azdistill.azure.deployment.files import write_files
    from azdistill.azure.deployment.rollout import roll_out
    from azdistill.azure.deployment.smoke import rows_for
    from azdistill.azure.models import find_model
    from azdistill.cli.workspace import suppress_output, workspace_client

    client = workspace_client(context, config)
    with tempfile.TemporaryDirectory() as folder:
        with suppress_output():
            registered = find_model(client, release.model)
            rows = rows_for(client, run, registered.job, release.deployment.smoke_rows)
            write_files(release, Path(folder))
        with contextlib.closing(roll_out(client, release, rows, Path(folder), take_over=take_over)) as lines:
            _print(lines)


def _print(lines: "Iterator[str]") -> None:
    """Print each line immediately. What the SDK prints while it waits is hidden."""
    from azdistill.cli.workspace import suppress_output

    while True:
        with suppress_output():
            line = next(lines, None)
        if line is None:
            return
        print_text(line, flush=True)
