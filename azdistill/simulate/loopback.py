"""A simulated teacher's ear: HTTP on loopback, nowhere else."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from azdistill.contracts.errors import InputError
from azdistill.simulate.teacher import SimulatedTeacher

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def listening(teacher: SimulatedTeacher, port: int = 0) -> AsyncIterator[str]:
    """Answer on loopback while the context is open; yields the base URL. Port 0 takes a free one.

    Raises InputError when the port is taken.
    """
    runner = web.AppRunner(teacher.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await _listen(runner, port)
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port, backlog=4096).start()
    except (OSError, OverflowError) as problem:
        raise InputError(f"simulate: port {port!r} can't be used ({problem}); give --port 0") from None
