"""Run asking to its end from plain code, on the fastest event loop there is, and stop it cleanly when told."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from azdistill.contracts.errors import Interrupted

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop

Result = TypeVar("Result")

INTERRUPTED = "interrupted by {}; all answers that arrived are stored, run again to continue"


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end. On SIGTERM or Ctrl-C it is cancelled, may clean up, and Interrupted is raised.

    Where a loop runs already, as in a notebook, that loop waits and the work has a loop in a thread of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_until_told(work))
    return _run_in_thread(work)


def _run_in_thread(work: Coroutine[Any, Any, Result]) -> Result:
    loop = new_event_loop()
    task = loop.create_task(work)
    with ThreadPoolExecutor(1) as thread:  # leaving it waits until the work has cleaned up
        done = thread.submit(_complete, loop, task)
        try:
            return done.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(task.cancel)
            raise Interrupted(INTERRUPTED.format("Ctrl-C")) from None


def _complete(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Result]") -> Result:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _until_told(work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.ensure_future(work)
    told = _cancel_on_signals(task)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        raise Interrupted(INTERRUPTED.format(told[0])) from None


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
