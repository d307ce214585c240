"""What a PATH on the command line is: a job file, a bundle, or a pipeline or component file of anyone's."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.errors import InputError, SpecError

if TYPE_CHECKING:
    from azdistill.engine.pipeline.loading import Registered
    from azdistill.engine.pipeline.model import Pipeline
    from azdistill.job.model import DistillationJob

PIPELINE = "pipeline.yml"


def pipeline_file(path: Path) -> Path | None:
    """The pipeline or component file that `path` names, or None when it is a job file.

    Raises InputError when there is nothing there that could be either.
    """
    if path.is_dir():
        if not (path / PIPELINE).is_file():
            raise InputError(f"{path}: no {PIPELINE} in this folder; name a job file, a bundle or a pipeline file")
        return path / PIPELINE
    from azdistill.engine.yaml_document import read_document

    fields = read_document(path, InputError, "job or pipeline file").value
    named = fields.keys() & {"jobs", "command"} or fields.get("type") in ("pipeline", "parallel")
    return path if named else None


def job_file(path: Path) -> Path:
    """`path`, when it is no pipeline; raises InputError when it is."""
    if pipeline_file(path):
        raise InputError(f"{path}: a pipeline or component, and this needs a job file")
    return path


def read_job(path: Path) -> "DistillationJob":
    """The job of a job file, once its warnings are told. Raises SpecError, one line a finding."""
    from azdistill.job.loading import check_job

    job, found = check_job(path)
    if job is None:
        raise SpecError("\n".join(map(str, found)))
    tell(found)
    return job


def read_pipeline(path: Path, registered: "Registered", compiled: bool = False) -> "Pipeline":
    """The pipeline of a file, once its warnings are told. Its errors are left to whoever runs it. `registered` tells
    where registered components lie. What has no effect here is not told of a `compiled` one: the user has not written
    it."""
    from azdistill.engine.pipeline.checks import azure_only, pipeline_problems
    from azdistill.engine.pipeline.loading import load_pipeline

    pipeline = load_pipeline(path, registered)
    tell(finding for finding in pipeline_problems(pipeline) if finding.severity == "warning")
    tell(() if compiled else azure_only(pipeline))
    return pipeline


def tell(warnings: Iterable[object]) -> None:
    for warning in warnings:
        print(warning, file=sys.stderr)
