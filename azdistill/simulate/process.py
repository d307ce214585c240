"""Simulated teachers as processes of their own, for as long as a `with` block lasts."""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.simulation import Simulation

LONGEST_RUN_S = 24 * 3600.0


@contextlib.contextmanager
def running(simulation: Simulation) -> Iterator[str]:
    """Start the simulated teacher on loopback and yield its base URL; it listens by then.

    It ends with the block, with this process however that dies, or after a day. A terminal's
    Ctrl-C does not reach it, so that its clients end first. Raises AzdistillError when it can't start.
    """
    with running_together([simulation]) as (url,):
        yield url


@contextlib.contextmanager
def running_together(simulations: Iterable[Simulation]) -> Iterator[tuple[str, ...]]:
    """As `running`, one process for each simulation; they start side by side."""
    started: list[subprocess.Popen[str]] = []
    try:
        started.extend(map(_start, simulations))
        yield tuple(map(_url, started))
    finally:
        for process in started:
            process.terminate()
        for process in started:
            _end(process)


def _start(simulation: Simulation) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "azdistill.simulate", "--with-parent", "--lifetime-s", str(LONGEST_RUN_S)]
    return subprocess.Popen(
        [*command, "--simulation", simulation.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline().strip()
    if not line.startswith("http://"):
        raise AzdistillError(f"simulate: the simulated teacher ended with {process.wait()!r}; its message is above")
    return line


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
