"""What is to be said of a job or pipeline file, for people and for programs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from azdistill.cli.paths import pipeline_file, tell
from azdistill.contracts.errors import InputError
from azdistill.contracts.findings import Finding

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

FIELDS = ("severity", "file", "line", "field", "text")

Checked = tuple[str, Sequence[Finding]]
"""A sentence for when it is right, and the findings."""


def tell_in_words(path: Path, sdk: bool = False) -> None:
    """Print that it is right, once the warnings are told; `sdk` asks Azure's own client too. Raises InputError with
    all findings when it isn't."""
    right, found = _check(path, sdk)
    if _is_wrong(found):
        raise InputError("\n".join(map(str, found)))
    tell(found)
    print(right)


def tell_as_json(path: Path, sdk: bool = False) -> None:
    """Print a list of objects, one a finding, in which line 0 is the file as a whole. Exits with 2 when it is wrong."""
    try:
        _, found = _check(path, sdk)
    except InputError as problem:
        found = [_unreadable(path, problem)]
    rows = [{name: getattr(finding, name) for name in FIELDS} for finding in found]
    print(json.dumps(rows, indent=2, default=str))
    raise typer.Exit(InputError.exit_code if _is_wrong(found) else 0)


def _check(path: Path, sdk: bool) -> Checked:
    """Raises InputError for what can't be read at all."""
    pipeline = pipeline_file(path)
    return _pipeline(pipeline, sdk) if pipeline else _job(path, sdk)


def _job(path: Path, sdk: bool) -> Checked:
    from azdistill.job.loading import check_job

    job, found = check_job(path)
    if job is None:
        return "", found
    names = ", ".join(teacher.called for teacher in job.teacher.teachers)
    teach = f"{names} {'teaches' if len(job.teacher.teachers) == 1 else 'teach'} {job.student.model}"
    return f"{path}: right; job {job.name}: {teach} ({job.task})", [*found, *(_compiled(job) if sdk else ())]


def _compiled(job: "DistillationJob") -> Sequence[Finding]:
    from azdistill.azure.offline import refusals
    from azdistill.job.bundle import compile_job

    with TemporaryDirectory() as folder:
        return refusals(compile_job(job, Path(folder, "bundle")))


def _pipeline(path: Path, sdk: bool) -> Checked:
    from azdistill.engine.pipeline.validation import validate

    found: Sequence[Finding] = validate(path)
    if sdk and not _is_wrong(found):
        from azdistill.azure.offline import refusals

        found = [*found, *refusals(path)]
    return f"{path}: right; nothing that Azure ML would refuse", found


def _is_wrong(found: Sequence[Finding]) -> bool:
    return any(finding.severity == "error" for finding in found)


def _unreadable(path: Path, problem: InputError) -> Finding:
    """What keeps a file from being read, which comes as one sentence with its place."""
    place = re.fullmatch(rf"{re.escape(str(path))}(?::(\d+))?: (.*)", str(problem), re.DOTALL)
    return Finding("error", path, int(place[1] or 0) if place else 0, "", place[2] if place else str(problem))
