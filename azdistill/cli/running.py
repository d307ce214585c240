"""A run from the command line: bundle, stand-in teacher, progress, outcome."""

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from azdistill.cli.outcome import tell, tell_rehearsal
from azdistill.cli.paths import read_pipeline
from azdistill.cli.progress import progress
from azdistill.contracts.errors import Interrupted
from azdistill.engine.local.registered import registered_in
from azdistill.engine.pipeline.loading import Registered
from azdistill.engine.pipeline.model import Pipeline
from azdistill.local_runs.explained import explained
from azdistill.local_runs.request import Request
from azdistill.local_runs.run import pipeline_of, run, with_replacements


def explain_run(request: Request) -> None:
    """Print for each node whether it would be reused, and if not, why. Runs none of them."""
    request = with_replacements(request)
    with tempfile.TemporaryDirectory() as bundle:
        pipeline = _reader(request)(pipeline_of(request, Path(bundle)), registered_in(request.options.home))
        found = explained(request, pipeline.path)
    width = max(len(node.node) for node in found)
    for node in found:
        print(f"{node.node:<{width}}", "reused" if node.reused else f"runs: {'; '.join(node.reasons)}", sep="  ")
        for note in node.notes:
            print(f"{'':<{width}}", f"note: {note}", sep="  ")


def perform(request: Request) -> None:
    """Run, show it, and tell what came of it.

    Raises NodeFailed, GateRefused, or Interrupted with the command that continues the run.
    """
    with _interruptible(request):
        with progress() as watch:
            result = run(request, watch, _reader(request))
        tell_rehearsal(result, request) if request.dry else tell(result)


def _reader(request: Request) -> Callable[[Path, Registered], Pipeline]:
    return partial(read_pipeline, compiled=not isinstance(request.what, Path))


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
