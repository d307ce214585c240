"""Run simulated teachers as processes while a `with` block lasts."""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.simulation import ServedModel, Simulation

LONGEST_RUN_S = 24 * 3600.0


@contextlib.contextmanager
def running(simulation: Simulation, model: ServedModel | None = None) -> Iterator[str]:
    """Start a simulated teacher on loopback and yield its base URL once it listens. It may serve a model.

    It ends with the block, with this process even if that is killed, or after a day. A terminal's Ctrl-C does not
    reach it, so that its clients end first. Raises AzdistillError when it cannot start.
    """
    with _running([(simulation, model)]) as (url,):
        yield url


def running_together(simulations: Iterable[Simulation]) -> contextlib.AbstractContextManager[tuple[str, ...]]:
    """Like `running`, with one process for each simulation. They start concurrently."""
    return _running((simulation, None) for simulation in simulations)


@contextlib.contextmanager
def _running(simulations: Iterable[tuple[Simulation, ServedModel | None]]) -> Iterator[tuple[str, ...]]:
    started: list[subprocess.Popen[str]] = []
    try:
        started.extend(_start(*simulation) for simulation in simulations)
        yield tuple(map(_read_url, started))
    finally:
        for process in started:
            process.terminate()
        for process in started:
            _stop(process)


def _start(simulation: Simulation, model: ServedModel | None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "azdistill.simulate", "--with-parent", "--lifetime-s", str(LONGEST_RUN_S)]
    return subprocess.Popen(
        [*command, "--simulation", simulation.model_dump_json(), *(_model_options(model) if model else ())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _model_options(model: ServedModel) -> Sequence[str]:
    options = ["--model", str(model.folder), "--max-logprobs", str(model.max_logprobs)]
    return options if model.prompt_logprobs else [*options, "--no-prompt-logprobs"]


def _read_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline().strip()
    if not line.startswith("http://"):
        raise AzdistillError(
            f"the simulated teacher ended with exit code {process.wait()}; its message is above", subject="simulate"
        )
    return line


def _stop(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
