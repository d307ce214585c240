"""Read the PATH of a command line: a job file, a bundle, or any pipeline or component file."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.cli.render import print_text
from azdistill.contracts.errors import InputError, SpecError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.job import JOB_FILE

if TYPE_CHECKING:
    from azdistill.engine.pipeline.loading import Registered
    from azdistill.engine.pipeline.model import Pipeline
    from azdistill.engine.problems import Problem
    from azdistill.engine.yaml_document import Document
    from azdistill.job.model import DistillationJob

# Suffixes of data files.
ROWS = (".arrow", ".csv", ".gz", ".jsonl", ".parquet", ".tsv", ".zst")


def pipeline_file(path: Path) -> Path | None:
    """The pipeline or component file at `path`, None for a job file, or for a folder with a job.yaml.

    Raises InputError for a path that is none of these.
    """
    if path.is_dir():
        if not (path / PIPELINE_FILE).is_file() and (path / JOB_FILE).is_file():
            return None
        if not (path / PIPELINE_FILE).is_file():
            raise InputError(
                f"no {PIPELINE_FILE} or {JOB_FILE} in this folder",
                file=path,
                fix="give the path of a job file, a bundle or a pipeline file",
            )
        return path / PIPELINE_FILE
    if path.suffix.lower() in ROWS and path.is_file():
        fix = "give the path of a job file, a bundle or a pipeline file, or show its rows"
        command = shlex.join(["azdistill", "data", "show", str(path)])
        raise InputError("is a data file", file=path, code="other_kind", fix=fix, command=command)
    from azdistill.engine.pipeline.kinds import OtherKind, kind_of

    fields = _read(path).value
    kind = kind_of(fields)
    if kind is None and not _is_job(fields):
        raise InputError(
            "is no distillation job, as it has none of task, data, teacher and student, and no job of Azure ML, as it "
            "has no jobs, command or search_space",
            file=path,
            code="other_kind",
            refused_by=("engine",),
        )
    if isinstance(kind, OtherKind):
        raise InputError(
            f"is {kind}, which only Azure ML reads: azdistill runs distillation, pipeline, command and sweep jobs, and "
            "components",
            file=path,
            code="other_kind",
            fix="create it in Azure ML" if kind.command else "",
            command=f"{kind.command} --file {shlex.quote(str(path))}" if kind.command else "",
            refused_by=("engine",),
        )
    return path if kind else None


def _is_job(fields: Mapping[str, Any]) -> bool:
    """True if a file can be a distillation job, complete or not."""
    from azdistill.job.model import DistillationJob
    from azdistill.job.shorthand import SHORT

    if fields.get("type") == "distillation" or fields.keys() <= DistillationJob.model_fields.keys():
        return True
    return not fields.keys().isdisjoint(("task", "data", "teacher", "student", *SHORT))


def _read(path: Path) -> "Document":
    """The file as azdistill's own YAML, else as Azure's client reads it, which accepts equal keys."""
    from azdistill.engine.yaml_document import AZURE_YAML, read_document

    kind = "job or pipeline file"
    try:
        return read_document(path, InputError, kind)
    except InputError as error:
        if error.problems[0].code != "invalid_yaml":
            raise
        return read_document(path, InputError, kind, AZURE_YAML)


def job_file(path: Path) -> Path:
    """The job file at `path`, or in this folder. Raises InputError for a pipeline or component."""
    if pipeline_file(path):
        raise InputError("this is a pipeline or component", file=path, fix="give the path of a job file")
    return path / JOB_FILE if path.is_dir() else path


def bundle_of(path: Path, settings: Sequence[str] | None = None, *, to_submit: bool = False) -> Path:
    """The bundle at `path`. A job file is compiled, to bundles/NAME. `settings` are values of --set.

    Raises SpecError for a job `to_submit` whose student's folder is incomplete, or whose rows cannot be used.
    """
    from azdistill.cli.options import read_job_settings

    pipeline = pipeline_file(path)
    job_settings = read_job_settings(settings, is_job=pipeline is None)
    if pipeline:
        return pipeline.parent
    from azdistill.job.bundle import compile_job

    job = read_job(path, job_settings)
    if to_submit:
        _check_local_files(job_file(path), job)
    return compile_job(job, Path("bundles", job.name)).parent


def _check_local_files(path: Path, job: "DistillationJob") -> None:
    """Print the warnings of the student's folder and of the rows. Raises SpecError for their errors."""
    from azdistill.doctor.data import check_files, local_problems
    from azdistill.engine.problems import has_errors
    from azdistill.job.loading import located

    problems = located(path, local_problems(job, check_files(job)))
    if has_errors(problems):
        raise SpecError(problems=problems)
    print_warnings(problems)


def read_job(path: Path, settings: Mapping[str, str] | None = None) -> "DistillationJob":
    """Read a job file and print its warnings. `settings` replace fields of the file, by dotted name.

    Raises SpecError with all problems.
    """
    from azdistill.job.loading import check_job

    job, problems = check_job(path, settings=settings or {})
    if job is None:
        raise SpecError(problems=problems)
    print_warnings(problems)
    return job


def read_pipeline(path: Path, registered: "Registered", compiled: bool = False, force: bool = False) -> "Pipeline":
    """Read a pipeline file and print its warnings. Its errors are not raised here: the run raises them, and those of a
    run with `force` that it does not raise are printed as warnings.

    `registered` resolves registered components. For a `compiled` pipeline, fields without effect on this machine are
    not reported, because the user has not written them.
    """
    from azdistill.engine.pipeline.checks import azure_only, pipeline_problems
    from azdistill.engine.pipeline.loading import load_pipeline
    from azdistill.engine.problems import can_be_forced

    pipeline = load_pipeline(path, registered)
    problems = pipeline_problems(pipeline)
    warnings = [problem for problem in problems if problem.severity == "warning"]
    forced = [problem for problem in problems if can_be_forced(problem) and problem.scope != "azure"]
    print_warnings(replace(problem, severity="warning") for problem in (forced if force else ()))
    print_warnings(problem for problem in warnings if not (compiled and problem.scope == "azure"))
    print_warnings(() if compiled else azure_only(pipeline))
    return pipeline


@contextmanager
def located_in(job: Path) -> Iterator[None]:
    """Add file and line to the problems of a valid job that only its run reports."""
    from azdistill.job.loading import located

    try:
        yield
    except SpecError as error:
        if any(problem.file for problem in error.problems):
            raise
        raise SpecError(problems=located(job_file(job), error.problems)) from None


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Raise InputError for an OSError while files are written to a path that the user named."""
    try:
        yield
    except OSError as error:
        raise InputError(
            str(error.strerror), file=path, code="not_writable", fix="give a path that can be written"
        ) from None


def write_output(path: Path, text: str) -> None:
    """Write a file that the user named. Raises InputError when that is not possible."""
    from azdistill.contracts.files import write_text

    with writable(path):
        write_text(path, text)


def print_warnings(problems: "Iterable[Problem]") -> None:
    for problem in problems:
        print_text(problem, file=sys.stderr)
