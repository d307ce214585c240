"""A simulated teacher's ear: HTTP on loopback, nowhere else."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from aiohttp import web

from azdistill.contracts.errors import InputError
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.simulate.wire import Reply

HOST = "127.0.0.1"
PATHS = (
    "/chat/completions",
    "/v1/chat/completions",
    "/models/chat/completions",
    "/openai/v1/chat/completions",
    "/api/projects/{project}/openai/v1/chat/completions",
)
LOOK_AGAIN_S = 0.05


@contextlib.asynccontextmanager
async def listening(teacher: SimulatedTeacher, port: int = 0) -> AsyncIterator[str]:
    """Answer on loopback while the context is open; yields the base URL. Port 0 takes a free one.

    Raises InputError when the port is taken.
    """
    runner = web.AppRunner(application(teacher), access_log=None, shutdown_timeout=1)
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


def application(teacher: SimulatedTeacher) -> web.Application:
    """Chat on every path that users paste, and a page that says what this is."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=teacher.page())

    async def chat(request: web.Request) -> web.StreamResponse:
        return await _sent(request, await teacher.respond(request.headers, await request.read()))

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_get("/", page)
    for path in PATHS:
        app.router.add_post(path, chat)
    return app


async def _sent(request: web.Request, reply: Reply) -> web.StreamResponse:
    """The reply, ended in its way. Where the connection is gone already, what is returned goes nowhere."""
    if reply.ending == "cut":
        return await _cut(request, reply)
    if reply.ending == "reset":
        reset(request.transport)
    if reply.ending == "never":
        await _gone(request)
    status = reply.status or 200
    return web.Response(status=status, body=reply.body, content_type=reply.content_type, headers=reply.headers)


async def _cut(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Half of the body that was announced, then the end of the connection."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type, response.content_length = reply.content_type, len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _gone(request: web.Request) -> None:
    """Wait until the client has given up."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(LOOK_AGAIN_S)


def reset(transport: asyncio.Transport | None) -> None:
    """Close with an RST, as a dying gateway does: linger 0 drops what was not sent."""
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
