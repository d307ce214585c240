"""HTTP session with a teacher: connections, proxy, timeouts and the headers of each request."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp

from azdistill.teacher.auth import Auth
from azdistill.teacher.endpoint import Endpoint

LONGEST_CONNECT_S = 30.0


def open_session(endpoint: Endpoint, connections: int, timeout_s: float) -> aiohttp.ClientSession:
    """Create a session with at most `connections` kept-alive connections. It has no cookies and no secret."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300),
        headers={"Content-Type": "application/json"},
        proxy=endpoint.proxy(),
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, LONGEST_CONNECT_S)),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def auth_headers(auth: Auth) -> Mapping[str, str]:
    """Current authentication headers. Refreshes an expired token in a worker thread."""
    return await asyncio.to_thread(auth.headers) if auth.needs_refresh() else auth.headers()


def post(
    session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Send a request. Redirects are not followed: one would send the key to another host."""
    return session.post(endpoint.url, data=body, headers=headers, allow_redirects=False)


def with_request_id(headers: Mapping[str, str], key: str) -> Mapping[str, str]:
    """Add the request id by which Azure's support finds a call. All attempts of a request have the same."""
    request_id = f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:32]}"  # a UUID
    return {**headers, "x-ms-client-request-id": request_id}
