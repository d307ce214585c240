"""azdistill doctor: check everything that a run needs."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.loading import report_loading
from azdistill.cli.problems import ProblemFormat
from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from azdistill.azure.checks.result import CheckResult

# Width of the status column: the longest status and two spaces.
STATUS_WIDTH = len("problem") + 2


def doctor(
    context: typer.Context,
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="job file; default: check only machine and workspace")
    ] = None,
    config: Config = None,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="check only torch and the GPUs of this machine, such as inside the image")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="send no request to a teacher")] = False,
    format: Annotated[
        ProblemFormat,
        typer.Option("--format", help="json: a list of results for programs; github: annotations for GitHub Actions"),
    ] = ProblemFormat.text,
) -> None:
    """Check everything that a run needs, and show how to fix it.

    Checks Python, packages, GPU, login, workspace and storage; with a job also its compute, quota, identities, roles,
    connections, data, models and student. Each teacher with an endpoint gets one short request, which is paid for:
    --offline sends none. An empty blob is written to the default datastore and removed, to check your rights; nothing
    else is written or sent.

    Status of a result: ok, problem (a run would fail), or unknown (cannot be checked from this machine, or not every
    run needs it).

    --gpu imports torch and computes on each GPU: driver, CUDA, memory, bfloat16, NCCL, flash attention, bitsandbytes. A
    machine without a usable GPU is a problem.

    Example: azdistill doctor job.yaml

    Exit codes: 0 no problem, 2 problems.
    """
    from azdistill.cli.paths import job_file
    from azdistill.cli.problems import render
    from azdistill.cli.workspace import workspace_client
    from azdistill.contracts.errors import InputError
    from azdistill.doctor.checks import check_all
    from azdistill.doctor.gpu import check_gpu_use

    if gpu and job:
        raise InputError("checks this machine and no job", field=("--gpu",), fix="remove JOB, or --gpu")
    job_path = job_file(job) if job else None
    checks = (
        check_gpu_use()
        if gpu
        else check_all(job_path, config, lambda: workspace_client(context, config), offline=offline)
    )
    if format == ProblemFormat.text:
        with report_loading("torch") if gpu else nullcontext():
            results = _print_as_text(checks)
    elif format == ProblemFormat.json:
        results = _print_as_json(checks)
    else:
        results = list(checks)
        print_text(render([result.problem for result in results if result.problem], format))
    raise typer.Exit(InputError.exit_code if any(result.status == "problem" for result in results) else 0)


def _print_as_text(checks: "Iterable[CheckResult]") -> "list[CheckResult]":
    """Print each result when its check ends: below it the fix, and the command on a separate line to copy."""
    results, indent = [], " " * STATUS_WIDTH
    for result in checks:
        results.append(result)
        problem = result.problem
        statement = replace(problem, fix="", command="", severity="error") if problem else result
        print_text(f"{result.status:{STATUS_WIDTH}}{statement}", flush=True)
        if problem and problem.fix:
            print_text(f"{indent}{problem.fix}{':' if problem.command else ''}", flush=True)
        if problem and problem.command:
            print_text(f"{indent}{problem.command}", flush=True)
    statuses = [result.status for result in results]
    print_text(f"\nproblems: {statuses.count('problem')}, unknown: {statuses.count('unknown')}")
    return results


def _print_as_json(checks: "Iterable[CheckResult]") -> "list[CheckResult]":
    import json

    from azdistill.cli.problems import as_object

    results = list(checks)
    objects = [
        {
            "checked": result.checked,
            "status": result.status,
            "detail": result.detail,
            "problem": as_object(result.problem) if result.problem else None,
        }
        for result in results
    ]
    print_text(json.dumps(objects, indent=2))
    return results
