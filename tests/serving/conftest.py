"""A student that is served by this process, in a thread, over real HTTP."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from azdistill.serving.address import base_url, listen
from azdistill.serving.app import StudentServer
from azdistill.serving.transformers import serving
from azdistill.students.loading import Student

Serve = Callable[..., "Served"]


class Served:
    """A running server: its URL, and its state."""

    url: str
    server: StudentServer
    _loop: asyncio.AbstractEventLoop
    _stop: asyncio.Event

    def begin_stop(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve students until the end of the test."""
    with ExitStack() as stack:
        yield lambda student, **options: stack.enter_context(serving_thread(student, **options))


@contextmanager
def serving_thread(
    student: Student, max_new_tokens: int = 256, batch_size: int = 32, stop_timeout_s: float = 5.0
) -> Iterator[Served]:
    served, started, listening = Served(), threading.Event(), listen("127.0.0.1", 0)
    served.url = base_url(listening)

    async def run() -> None:
        served._loop, served._stop = asyncio.get_running_loop(), asyncio.Event()
        served.server = StudentServer(student, "support", max_new_tokens, batch_size)
        async with serving(served.server, listening, stop_timeout_s):
            started.set()
            await served._stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert started.wait(20), "the server has not started"
    yield served
    served.begin_stop()
    thread.join()
