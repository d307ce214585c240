"""azdistill validate: is a job, a bundle or a pipeline right, before anything is spent?"""

from pathlib import Path
from typing import Annotated

import typer


def validate(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a job file, a bundle, or any pipeline file")],
) -> None:
    """Check a job, a bundle or a pipeline, and run nothing.

    Every finding is told at once, each with its file and line, value, field and next move.
    Warnings, about what Azure ML would ignore, leave the exit code alone.

    Example: azdistill validate job.yaml

    Exit codes: 0 it is right, 2 it is not.
    """
    from azdistill.cli.paths import pipeline_file

    pipeline = pipeline_file(path)
    print(_pipeline(pipeline) if pipeline else _job(path))


def _job(path: Path) -> str:
    from azdistill.cli.paths import read_job

    job = read_job(path)
    return f"{path}: right; job {job.name}: {job.teacher.teachers[0].model} teaches {job.student.model} ({job.task})"


def _pipeline(path: Path) -> str:
    from azdistill.cli.paths import tell
    from azdistill.contracts.errors import PipelineError
    from azdistill.pipeline.validation import validate

    found = validate(path)
    if any(finding.severity == "error" for finding in found):
        raise PipelineError("\n".join(map(str, found)))
    tell(found)
    return f"{path}: right; nothing that Azure ML would refuse"
