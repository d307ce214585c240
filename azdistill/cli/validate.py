"""azdistill validate: check a job, a bundle or a pipeline without running it."""

import gc
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Settings, read_job_fields, read_job_settings, read_settings
from azdistill.cli.problems import ProblemFormat
from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.engine.problems import Problem
    from azdistill.job.model import DistillationJob
    from azdistill.job.regressions import RegressionSuite

# Processor time for the files of a job or a pipeline together, which usually takes less than a second.
LIMIT_S = 10.0

# Rows of each regression suite that are read.
SUITE_ROWS = 200


def validate(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a job file, a bundle, or any pipeline file")],
    settings: Settings = None,
    format: Annotated[
        ProblemFormat,
        typer.Option("--format", help="json: a list of problems for programs; github: annotations for GitHub Actions"),
    ] = ProblemFormat.text,
    sdk: Annotated[
        bool, typer.Option("--sdk", help="also check with Azure's own client: needs the extra `azure`, but no login")
    ] = False,
) -> None:
    """Check a job, a bundle or a pipeline without running it.

    All problems are shown in one run, each with its file, line, field and value, the error and the fix. Warnings, for
    example about fields that Azure ML ignores, do not change the exit code.

    --format json prints a list of objects with the fields code, severity, subject, file, line, field, value, message,
    fix, command and refused_by: client, service or engine, for an error of a file of Azure ML. --format github prints
    annotations: in a workflow of GitHub Actions they appear at their lines of a pull request.

    Example: azdistill validate job.yaml

    Exit codes: 0 no errors, 2 errors.
    """
    from azdistill.cli.problems import force_advice, render
    from azdistill.contracts.errors import InputError
    from azdistill.engine.problems import has_errors

    # To look for plugins, pydantic reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        with _garbage_collection_paused():
            summary, problems = _check(path, settings, sdk)
    except InputError as error:
        if format == ProblemFormat.text:
            raise
        summary, problems = "", error.problems
    failed = has_errors(problems)
    if format != ProblemFormat.text:
        print_text(render(problems, format))
        raise typer.Exit(InputError.exit_code if failed else 0)
    advice = force_advice(problems, shlex.join(["azdistill", "run", str(path)]))
    if advice and _runs_here(path):
        print_text(render(problems, format), file=sys.stderr)
        print_text(advice, file=sys.stderr)
        raise typer.Exit(InputError.exit_code)
    if failed:
        raise InputError(problems=problems)
    if problems:
        print_text(render(problems, format), file=sys.stderr)
    print_text(summary)


@contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector inside the block: a third of the time of a large YAML file is its passes over
    nodes that are all in use."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _check(path: Path, settings: Sequence[str] | None, sdk: bool) -> "tuple[str, Sequence[Problem]]":
    """The line to print for a valid file, and the problems. Raises InputError for a file that cannot be read."""
    from azdistill.cli.paths import pipeline_file
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.time_limit import TimeLimitExceeded, time_limit
    from azdistill.job import JOB_FILE

    try:
        with nullcontext() if sdk else time_limit(LIMIT_S):
            pipeline = pipeline_file(path)
            if pipeline:
                read_job_settings(settings, is_job=False)
                return _check_pipeline(pipeline, read_settings(settings, None), sdk)
            return _check_job(path / JOB_FILE if path.is_dir() else path, read_job_fields(settings), sdk)
    except TimeLimitExceeded as error:
        fix = "a large component or environment may be named by too many jobs"
        raise InputError(f"its validation {error}", file=path, code="too_complex", fix=fix) from None


def _check_job(path: Path, settings: Mapping[str, str], sdk: bool) -> "tuple[str, Sequence[Problem]]":
    from azdistill.doctor.data import check_files, local_problems
    from azdistill.job.loading import check_job, located

    job, problems = check_job(path, settings=settings)
    if job is None:
        return "", problems
    teachers = ", ".join(teacher.called for teacher in job.teacher.teachers)
    summary = f"{path}: valid job {job.name}: {teachers} -> {job.student.model} ({job.task})"
    files = list(check_files(job))
    others = located(path, [*local_problems(job, files), *_suite_problems(job)])
    summary = "\n".join([summary, *(f"  {file.name}: {file.summary}" for file in files if file.summary)])
    return summary, [*problems, *others, *(_check_bundle(job) if sdk else ())]


def _suite_problems(job: "DistillationJob") -> "Iterator[Problem]":
    """Problems of the first rows of the regression suites, and of their references. Remote files, and rows of a task
    file, are not read."""
    from azdistill.contracts.errors import DataError
    from azdistill.contracts.task import OWN
    from azdistill.job.paths import is_remote

    for index, suite in enumerate(job.regressions):
        if suite.task == OWN or is_remote(suite.data):
            continue
        try:
            _check_suite(suite, job.prepare.max_reject_ratio)
        except DataError as error:
            for problem in error.problems:
                yield replace(problem, field=("regressions", index, "data"), value=suite.data)


def _check_suite(suite: "RegressionSuite", max_reject_ratio: float) -> None:
    from azdistill.data.suites import check_references, check_suite, read_suite
    from azdistill.metrics.registry import METRICS
    from azdistill.metrics.suite import needs_reference, suite_metric

    metric = suite_metric(suite.metric, suite.task, METRICS)
    read = read_suite(suite, Path(suite.data), rows=SUITE_ROWS)
    check_suite(read, max_reject_ratio)
    if needs_reference(metric):
        check_references(read, metric.name)


def _check_bundle(job: "DistillationJob") -> "Sequence[Problem]":
    from tempfile import TemporaryDirectory

    from azdistill.job.bundle import compile_job

    with TemporaryDirectory() as folder:
        return _check_with_sdk(compile_job(job, Path(folder, "bundle")))


def _check_pipeline(path: Path, inputs: Mapping[str, str], sdk: bool) -> "tuple[str, Sequence[Problem]]":
    from functools import partial

    from azdistill.engine.local.overrides import override_inputs
    from azdistill.engine.pipeline.checks import validate_file as validate_pipeline
    from azdistill.engine.problems import has_errors

    problems = validate_pipeline(path, partial(override_inputs, values=inputs))
    if sdk and not has_errors(problems):
        problems = [*problems, *_check_with_sdk(path)]
    return f"{path}: valid: Azure ML accepts it, as far as can be checked here", problems


def _runs_here(path: Path) -> bool:
    """True if the local engine refuses nothing of a pipeline, with --force."""
    from azdistill.cli.paths import pipeline_file
    from azdistill.contracts.errors import InputError
    from azdistill.engine.local.registered import registered_in
    from azdistill.engine.local.storage import home_folder
    from azdistill.engine.pipeline.checks import require_runnable
    from azdistill.engine.pipeline.loading import load_pipeline

    try:
        pipeline = pipeline_file(path)
        home = home_folder(path if path.is_dir() else path.parent)
        if pipeline:
            require_runnable(load_pipeline(pipeline, registered_in(home)), force=True)
    except InputError:
        return False
    return pipeline is not None


def _check_with_sdk(pipeline: Path) -> "Sequence[Problem]":
    from azdistill.azure.offline import sdk_problems
    from azdistill.cli.workspace import quiet_sdk, suppress_output

    with quiet_sdk(), suppress_output():
        return sdk_problems(pipeline)
