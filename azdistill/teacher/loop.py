"""Run asking to its end from plain code, on the fastest event loop there is, and stop it cleanly when told."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from azdistill.contracts.errors import Interrupted

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end. On SIGTERM or Ctrl-C it is cancelled, may clean up, and Interrupted is raised.

    In a notebook, which has a loop already, `await` the work instead.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_until_told(work))


async def _until_told(work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.ensure_future(work)
    told = _cancel_on_signals(task)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        raise Interrupted(
            f"interrupted by {told[0]}; all answers that arrived are stored, run again to continue"
        ) from None


def _cancel_on_signals(task: "asyncio.Task[Any]") -> list[str]:
    """The names of signals that came. Outside the main thread and on Windows none are caught here."""
    told: list[str] = []

    def stop(name: str) -> None:
        told.append(name)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(number, stop, number.name)
    return told
