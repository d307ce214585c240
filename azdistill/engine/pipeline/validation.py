"""Is a pipeline file right? For Azure ML as a whole, and for a run on this machine."""

from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.checks import findings
from azdistill.engine.pipeline.documents import Pipeline
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.problems import Problem


def validate(path: Path) -> list[Problem]:
    """Everything that Azure ML would refuse or ignore in a pipeline file, by file and line.

    Never raises for what the file holds. A sweep or a registered component, which only the
    local engine can't run, is no finding.
    """
    try:
        pipeline = load_pipeline(path)
    except PipelineError as error:
        return list(error.problems)
    return [finding for finding in findings(pipeline) if finding.scope != "local"]


def check(pipeline: Pipeline) -> None:
    """Raises PipelineError with all that can't run here, one line each: `pipeline.yml:12: jobs.train...`.

    What only Azure ML refuses, such as a missing compute, does not stop a local run.
    """
    errors = [one for one in findings(pipeline) if one.severity == "error" and one.scope != "azure"]
    if errors:
        raise PipelineError("\n".join(map(str, errors)))
