"""A run from the command line: bundle, stand-in teacher, progress, outcome."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.cli.outcome import tell, tell_rehearsal
from azdistill.cli.paths import read_pipeline
from azdistill.cli.progress import progress
from azdistill.cli.request import Request
from azdistill.cli.stand_in import stand_in
from azdistill.contracts.errors import Interrupted
from azdistill.local.engine import explain, run_pipeline
from azdistill.local.guards import locked
from azdistill.local.results import RunResult
from azdistill.pipeline.documents import Pipeline


def explain_run(request: Request) -> None:
    """Print for each node whether it would be reused, and if not, why. Runs none of them."""
    request = _with_replacements(request)
    with tempfile.TemporaryDirectory() as bundle:
        pipeline = _pipeline(request, Path(bundle))
        found = explain(pipeline.path, request.folder, inputs=request.inputs, part=request.part, home=request.home)
    width = max(len(node.node) for node in found)
    for node in found:
        print(f"{node.node:<{width}}", "reused" if node.reused else f"runs: {'; '.join(node.reasons)}", sep="  ")
        for note in node.notes:
            print(f"{'':<{width}}", f"note: {note}", sep="  ")


def perform(request: Request, jobs: int | None) -> None:
    """Run, show it, and tell what came of it.

    Raises NodeFailed, GateRefused, or Interrupted with the command that continues the run.
    """
    with _interruptible(request):
        with locked(request.folder):  # a run under way reads this bundle
            replaced = _with_replacements(request)
            pipeline = _pipeline(request, request.folder / "bundle")
        result = _run(replaced, pipeline, jobs)
        tell_rehearsal(result, request) if request.dry else tell(result)


def _run(request: Request, pipeline: Pipeline, jobs: int | None) -> RunResult:
    with stand_in(pipeline, request) as teacher, progress() as watch:
        return run_pipeline(
            pipeline.path,
            request.folder,
            inputs=request.inputs,
            part=request.part,
            environment={**teacher, **request.environment},
            home=request.home,
            watch=watch,
            jobs=jobs,
        )


def _with_replacements(request: Request) -> Request:
    """A dry run's inputs are set; any other request is left as it is."""
    if not request.dry or isinstance(request.what, Path):
        return request
    from azdistill.cli.dry_run import rehearsal

    return rehearsal(request, request.what)


def _pipeline(request: Request, bundle: Path) -> Pipeline:
    """A pipeline file as it is; a job is compiled into `bundle` first."""
    if isinstance(request.what, Path):
        return read_pipeline(request.what)
    from azdistill.bundle import compile_job

    return read_pipeline(compile_job(request.what, bundle))


@contextmanager
def _interruptible(request: Request) -> Iterator[None]:
    """Ctrl-C and SIGTERM, at any moment, as one sentence that says how to go on."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(f"interrupted; what is done is kept, continue with: {request.command}") from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
