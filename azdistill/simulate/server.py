"""HTTP server of a simulated teacher, on loopback only."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from azdistill.contracts.errors import InputError
from azdistill.simulate.gateway import Handler, SimulatedEndpoint
from azdistill.simulate.wire import HttpReply

HOST = "127.0.0.1"
POLL_S = 0.05


@contextlib.asynccontextmanager
async def listening(endpoint: SimulatedEndpoint, port: int = 0) -> AsyncIterator[str]:
    """Serve on loopback while the context is open; yields the base URL. Port 0 selects a free one.

    Raises InputError when the port is in use.
    """
    runner = web.AppRunner(application(endpoint), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await _listen(runner, port)
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, port: int) -> None:
    try:
        await web.TCPSite(runner, HOST, port, backlog=4096).start()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"port {port!r} cannot be used ({error})", code="port_unavailable", subject="simulate", fix="use --port 0"
        ) from None


def application(endpoint: SimulatedEndpoint) -> web.Application:
    """The paths of an endpoint, and a root page."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=endpoint.page())

    def route(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await _send(request, await handler(request.headers, await request.read()))

        return handle

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_get("/", page)
    for (method, path), handler in endpoint.handlers().items():
        app.router.add_route(method, path, route(handler))
    return app


async def _send(request: web.Request, reply: HttpReply) -> web.StreamResponse:
    """Send the reply with its ending. After a reset or a disconnect the returned response is discarded."""
    if reply.ending == "cut":
        return await _send_half(request, reply)
    if reply.ending == "reset":
        reset(request.transport)
    if reply.ending == "never":
        await _wait_for_disconnect(request)
    status = reply.status or 200
    return web.Response(status=status, body=reply.body, content_type=reply.content_type, headers=reply.headers)


async def _send_half(request: web.Request, reply: HttpReply) -> web.StreamResponse:
    """Send half of the body with the length of all of it, then close the connection."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type, response.content_length = reply.content_type, len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _wait_for_disconnect(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(POLL_S)


def reset(transport: asyncio.Transport | None) -> None:
    """Close a connection with RST, like a gateway that crashes. Linger 0 drops unsent data."""
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
