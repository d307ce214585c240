"""What a request would do."""

from pathlib import Path

from azdistill.engine.local.engine import explain
from azdistill.engine.local.results import Explanation
from azdistill.local_runs.request import Request


def explained(request: Request, pipeline: Path) -> tuple[Explanation, ...]:
    """For each node of the pipeline file that the request comes to, whether it is reused. Raises what `explain`
    does."""
    return explain(pipeline, request.folder, request.options)
