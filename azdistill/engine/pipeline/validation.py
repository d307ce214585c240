"""Is a pipeline file right? For Azure ML as a whole, and for a run on this machine."""

from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.checks import findings
from azdistill.engine.pipeline.documents import Pipeline
from azdistill.engine.pipeline.findings import Finding
from azdistill.engine.pipeline.loading import read_pipeline
from azdistill.engine.yaml_document import Unreadable, parse_document


def validate(path: Path) -> list[Finding]:
    """Everything that Azure ML would refuse or ignore in a pipeline file, by file and line.

    Never raises for what the file holds. A sweep or a registered component, which only the
    local engine can't run, is no finding.
    """
    try:
        pipeline = read_pipeline(parse_document(path, "pipeline file"))
    except Unreadable as problem:
        return [Finding("error", path, problem.line, "", str(problem))]
    return [finding for finding in findings(pipeline) if finding.scope != "local"]


def check(pipeline: Pipeline) -> None:
    """Raises PipelineError with all that can't run here, one line each: `pipeline.yml:12: jobs.train...`.

    What only Azure ML refuses, such as a missing compute, does not stop a local run.
    """
    errors = [one for one in findings(pipeline) if one.severity == "error" and one.scope != "azure"]
    if errors:
        raise PipelineError("\n".join(map(str, errors)))
