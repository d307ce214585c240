"""Stop a server on a signal."""

import asyncio
import contextlib
import signal

# Seconds that requests in flight get to finish, before a server ends. Kubernetes kills after 30 seconds.
STOP_TIMEOUT_S = 20.0


def stop_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets. A second signal ends the process immediately."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def handle() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            # Python's own handler of SIGINT would wait for the event loop, which no longer wakes up for a signal.
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers
            loop.add_signal_handler(number, handle)
    return stop


async def first_of(*events: "asyncio.Event | asyncio.Task[object]") -> None:
    """Wait until one of the events is set or one of the tasks is done."""
    waiting = [asyncio.create_task(event.wait()) if isinstance(event, asyncio.Event) else event for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task, event in zip(waiting, events, strict=True):
        if isinstance(event, asyncio.Event):
            task.cancel()
