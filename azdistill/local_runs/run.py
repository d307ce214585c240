"""Run a job or pipeline file with the local engine: compile the job, replace inputs, start simulated teachers."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from azdistill.contracts.extras import check_steps
from azdistill.contracts.files import write_text
from azdistill.engine.local.engine import explain as explain_pipeline
from azdistill.engine.local.engine import run_pipeline
from azdistill.engine.local.guards import locked
from azdistill.engine.local.registered import registered_in
from azdistill.engine.local.results import Event, Explanation, RunResult
from azdistill.engine.local.storage import engine_folder
from azdistill.engine.pipeline.flatten import node_count
from azdistill.engine.pipeline.loading import Registered, load_pipeline
from azdistill.engine.pipeline.model import Pipeline
from azdistill.job.graph import GRAPH
from azdistill.job.placeholders import check_placeholders
from azdistill.job.student_folder import check_student
from azdistill.local_runs.keys import check_keys
from azdistill.local_runs.registry import check_registry
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.run_folder import NODE_COUNT, PIPELINE_PATH
from azdistill.local_runs.simulated_teachers import simulated_teachers, with_simulation

# Nodes that load the student of a job.
STUDENT_NODES = {"train", "predict_baseline"}

PipelineReader = Callable[[Path, Registered], Pipeline]


def run(
    request: RunRequest,
    watch: Callable[[Event], None] = lambda event: None,
    read: PipelineReader = load_pipeline,
) -> RunResult:
    """Run a request in its folder. `watch` gets an event for each change of a node.

    Raises what `run_pipeline` raises, and InputError for a dry run of data that is not on this machine.
    """
    with locked(request.folder):  # another run in this folder would read the same bundle
        request = with_replacements(request)
        pipeline = read(_pipeline_file(request, request.folder / "bundle"), registered_in(request.options.home))
        _check_packages(request, pipeline)
        _check_before_payment(request, pipeline)
        write_text(request.folder / PIPELINE_PATH, f"{pipeline.path.absolute()}\n")
        write_text(request.folder / NODE_COUNT, f"{node_count(pipeline)}\n")
    with simulated_teachers(pipeline, request) as addresses:
        variables = {**addresses, **request.options.variables}
        return run_pipeline(pipeline.path, request.folder, request.options, variables=variables, watch=watch)


def explain(request: RunRequest, read: PipelineReader = load_pipeline) -> tuple[Explanation, ...]:
    """Explain for each node whether it would be reused, and if not, why. Runs nothing."""
    request = with_replacements(request)
    with tempfile.TemporaryDirectory() as bundle:
        pipeline = read(_pipeline_file(request, Path(bundle)), registered_in(request.options.home))
        return explain_pipeline(pipeline.path, request.folder, request.options)


def with_replacements(request: RunRequest) -> RunRequest:
    """Add the inputs of a dry run to a request, and the settings of teachers that are simulated in this run."""
    if isinstance(request.source, Path):
        return request
    if request.dry_run:
        from azdistill.local_runs.dry_run import with_dry_run_inputs

        request = with_dry_run_inputs(request, request.source)
    return with_simulation(request)


def _check_packages(request: RunRequest, pipeline: Pipeline) -> None:
    """Raise InputError if the selected nodes need a package that is not installed, before the teacher is paid."""
    options = request.options
    if isinstance(request.source, Path) or options.interpreters or options.make_environments:
        return
    check_steps(GRAPH[name].step for name in options.selection.apply(pipeline).nodes)


def _check_before_payment(request: RunRequest, pipeline: Pipeline) -> None:
    """Raise AzdistillError for an incomplete student's folder, for missing keys and for a workspace that cannot be
    reached, which selected nodes would report after the teacher is paid."""
    if isinstance(request.source, Path):
        return
    nodes = request.options.selection.apply(pipeline).nodes.keys()
    check_placeholders(request.source, request.options.inputs, nodes)
    if STUDENT_NODES & nodes and "student" not in request.options.inputs:
        check_student(request.source)
    check_keys(request.source, request, nodes)
    if "register" in nodes:
        check_registry(request.options)


def _pipeline_file(request: RunRequest, bundle: Path) -> Path:
    """Path of the pipeline file. A job is compiled to the folder `bundle` first."""
    if isinstance(request.source, Path):
        return request.source
    from azdistill.job.bundle import compile_job

    return compile_job(request.source, engine_folder(bundle), link=True)
