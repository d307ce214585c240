"""Run a coroutine from synchronous code, on uvloop where there is one, and end it cleanly on a signal."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from azdistill.contracts.errors import Interrupted

if sys.platform == "win32":
    from asyncio import new_event_loop as new_event_loop
else:
    from uvloop import new_event_loop as new_event_loop

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end. On SIGTERM or Ctrl-C it is cancelled, may clean up, and Interrupted is raised.

    Where an event loop runs already, as in a notebook, the work gets a loop in a thread, and that loop waits.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_until_signal(work))
    return _run_in_thread(work)


def _run_in_thread(work: Coroutine[Any, Any, Result]) -> Result:
    loop = new_event_loop()
    task = loop.create_task(work)
    with ThreadPoolExecutor(1) as thread:  # its end waits until the work has cleaned up
        done = thread.submit(_complete, loop, task)
        try:
            return done.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(task.cancel)
            raise _interrupted("Ctrl-C") from None


def _complete(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Result]") -> Result:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _until_signal(work: Coroutine[Any, Any, Result]) -> Result:
    task = asyncio.ensure_future(work)
    signals = _cancel_on_signals(task)
    try:
        return await task
    except asyncio.CancelledError:
        if not signals:
            raise
        raise _interrupted(signals[0]) from None


def _interrupted(by: str) -> Interrupted:
    return Interrupted(f"interrupted by {by}; all answers that arrived are stored", fix="run again to continue")


def _cancel_on_signals(task: "asyncio.Task[Any]") -> list[str]:
    """The names of signals that arrived. Outside the main thread and on Windows none are handled here."""
    signals: list[str] = []

    def stop(name: str) -> None:
        signals.append(name)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(number, stop, number.name)
    return signals
