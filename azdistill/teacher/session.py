"""HTTP session with a teacher: connections, proxy, timeouts and the headers of each request."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp

from azdistill.teacher.auth import Auth
from azdistill.teacher.endpoint import Endpoint

LONGEST_CONNECT_S = 30.0
# Size of a reply: what an error page or the other fields have, and what one token has, escaped, in text and as one of
# its log probabilities with its bytes.
REPLY_BYTES, TOKEN_BYTES = 2**20, 512


def open_session(endpoint: Endpoint, connections: int, timeout_s: float) -> aiohttp.ClientSession:
    """Create a session with at most `connections` kept-alive connections. It has no cookies and no secret."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=300),
        # aiohttp would also accept deflate, and waits for the timeout when such a body is cut.
        headers={"Content-Type": "application/json", "Accept-Encoding": "gzip"},
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


def largest_reply(endpoint: Endpoint, max_tokens: int) -> int:
    """Size in bytes that no reply of at most `max_tokens` tokens exceeds."""
    return REPLY_BYTES + max_tokens * TOKEN_BYTES * (2 + endpoint.top_logprobs)


async def read_body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The decompressed body of a response, or its beginning with more than `most_bytes` bytes: the rest is not read."""
    pieces, size = list[bytes](), 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes:
            response.close()
            break
    return b"".join(pieces)


def with_request_id(headers: Mapping[str, str], key: str) -> Mapping[str, str]:
    """Add the request id by which Azure's support finds a call. All attempts of a request have the same."""
    request_id = f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:32]}"  # a UUID
    return {**headers, "x-ms-client-request-id": request_id}
