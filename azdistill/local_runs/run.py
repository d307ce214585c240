"""Bundle, replacements and stand-ins around a run of the local engine."""

from collections.abc import Callable
from pathlib import Path

from azdistill.engine.local.engine import run_pipeline
from azdistill.engine.local.guards import locked
from azdistill.engine.local.registered import registered_in
from azdistill.engine.local.results import Event, RunResult
from azdistill.engine.pipeline.loading import Registered, load_pipeline
from azdistill.engine.pipeline.model import Pipeline
from azdistill.local_runs.request import Request
from azdistill.local_runs.simulated_teachers import stand_in, with_simulation


def run(
    request: Request,
    watch: Callable[[Event], None] = lambda event: None,
    load: Callable[[Path, Registered], Pipeline] = load_pipeline,
) -> RunResult:
    """Run what is asked for in its folder. Raises what `run_pipeline` and `rehearsal` do."""
    with locked(request.folder):  # a run under way reads this bundle
        request = with_replacements(request)
        pipeline = load(pipeline_of(request, request.folder / "bundle"), registered_in(request.options.home))
    with stand_in(pipeline, request) as teachers:
        variables = {**teachers, **request.options.variables}
        return run_pipeline(pipeline.path, request.folder, request.options, variables=variables, watch=watch)


def with_replacements(request: Request) -> Request:
    """The request with the inputs of a dry run, and with the settings of teachers that are simulated in this run."""
    if isinstance(request.what, Path):
        return request
    if request.dry:
        from azdistill.local_runs.dry_run import rehearsal

        request = rehearsal(request, request.what)
    return with_simulation(request)


def pipeline_of(request: Request, bundle: Path) -> Path:
    """A pipeline file as it is; a job is compiled into `bundle` first."""
    if isinstance(request.what, Path):
        return request.what
    from azdistill.job.bundle import compile_job

    return compile_job(request.what, bundle)
