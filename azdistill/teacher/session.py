"""One HTTP session with a teacher: kept-alive connections, and the headers of each request."""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp

from azdistill.teacher.auth import Access
from azdistill.teacher.endpoint import Endpoint

LONGEST_CONNECT_S = 30.0


def open_session(endpoint: Endpoint, places: int, timeout_s: float) -> aiohttp.ClientSession:
    """`places` connections that are kept alive; no cookies, no secret."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=places, ttl_dns_cache=300),
        headers={"Content-Type": "application/json"},
        proxy=endpoint.proxy(),
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, LONGEST_CONNECT_S)),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def let_in(access: Access) -> Mapping[str, str]:
    """The headers that open the endpoint now. A token that is due is fetched beside the event loop."""
    return await asyncio.to_thread(access.headers) if access.is_due() else access.headers()


def ask(
    session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]
) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """Post one question. A redirect is never followed: it would take the key to another host."""
    return session.post(endpoint.url, data=body, headers=headers, allow_redirects=False)


def traced(headers: Mapping[str, str], key: str) -> Mapping[str, str]:
    """With the request id by which Azure's support finds a call: the same for each try of one question."""
    return {**headers, "x-ms-client-request-id": str(uuid.UUID(key[:32]))}
