"""Serve a student with azdistill's own decoding, until a signal."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from azdistill.serving.app import StudentServer
from azdistill.serving.stopping import STOP_TIMEOUT_S, first_of, stop_on_signals
from azdistill.students.loading import Student

logger = logging.getLogger("azdistill.serving")


def serve_student(
    student: Student,
    name: str,
    listening: socket.socket,
    ready: Callable[[], None],
    *,
    max_new_tokens: int,
    batch_size: int,
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished, for at most STOP_TIMEOUT_S seconds.

    `ready` is called when requests are answered. An exception of decoding is raised.
    """

    async def until_signal() -> None:
        stop = stop_on_signals()
        async with serving(StudentServer(student, name, max_new_tokens, batch_size), listening) as server:
            ready()
            await first_of(stop, server.failed)
            if server.in_flight:
                logger.info("finishing %d requests, for at most %.0f s", server.in_flight, STOP_TIMEOUT_S)
        if server.error is not None:
            raise server.error

    asyncio.run(until_signal())


@asynccontextmanager
async def serving(
    server: StudentServer, listening: socket.socket, stop_timeout_s: float = STOP_TIMEOUT_S
) -> AsyncIterator[StudentServer]:
    """Answer requests while the context is open. At its end, requests in flight are finished, or else cut off."""
    # A handler is cancelled when its client disconnects, which ends the decoding of its request.
    runner = web.AppRunner(
        server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=stop_timeout_s
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield server
    finally:
        await runner.cleanup()
        server.stop()
