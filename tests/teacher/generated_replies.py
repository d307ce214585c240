"""Generated replies of a chat endpoint, correct and not, over raw loopback HTTP: status, headers, body and timing.

An endpoint records which rows got a complete answer. Source of the shapes: replies of Azure's endpoints, of gateways
and proxies, and what RFC 9110 and JSON allow or almost allow.
"""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from azdistill.teacher.preflight import PREFLIGHT_MESSAGES

# JSON that stands where a count, a code or a text is expected.
COUNTS = (
    "0 -1 7 7.5 1e3 1e400 -1e400 NaN Infinity -Infinity true null [] {} 18446744073709551616 9007199254740993 1e-400 "
    '"7" "" "many" "\\ud800"'
).split()
COUNTS += ["9" * 5000, "[" * 600 + "]" * 600]
CODES = ['"stop"', '"length"', '"content_filter"', "null", "7", '["x"]', '{"a": {}}', '"\\udfff"', f'"{"x" * 5000}"']
CODES += ["[" * 600 + "]" * 600, "1e999", '""', '"\\u0000\\u001b[31m"']
TEXTS = [
    '"yes"',
    '"\\ud83d\\ude42 \\ud83d"',
    '"a\x01\nb"',
    '"\\u0000"',
    '"caf\xe9"',
    '""',
    "null",
    '"<think>hm</think>yes"',
]
LOGPROBS = ["null", "{}", "[]", '{"content": null}', '{"content": [1e999, {"token": 7}]}', '{"content": "taken out"}']
LOGPROBS += ['{"content": [{"token":"yes","logprob":-0.1,"top_logprobs":[{"token":"yes","logprob":NaN}]}]}']
LOGPROBS += [f'{{"content": {"[" * 600}{"]" * 600}}}']
DATES = ["Fri, 31 Dec 99999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 00 Foo 0000 99:99:99 GMT", "\xff\xfe"]
WAITS = [*DATES, "", "0", "0.02", "-5", "nan", "soon", "1e-300", "0x10", "\xb2"]
LIMITS = ["0", "-1", "nan", "1e999", "1e-300", "18446744073709551616", "many", "6e6"]
REFUSED = [400, 408, 409, 413, 418, 422, 424, 429, 451, 499, 500, 502, 503, 504, 529, 599, 204, 206, 226]
# A row that a rate limit refuses waits for a second or more.
WITHOUT_WAIT = [status for status in REFUSED if status != 429]
SILENCE_S = 1.0
# Each refuses every row: the job ends.
FATAL = [301, 304, 307, 401, 403, 404]

HEADERS: dict[str, list[str]] = {
    "Content-Type": ["application/json", "text/html; charset=\xff", "", "a/b;" + "c=d;" * 50],
    "Date": DATES,
    "Retry-After": WAITS,
    "x-ratelimit-limit-requests": LIMITS,
    "x-ratelimit-remaining-requests": LIMITS,
    "Set-Cookie": ["a=b", "=;=;=", "\xff=", "a=" + "b" * 4000],
    "Location": ["http://[", "\xff", "//", "http://127.0.0.1:9/" + "x" * 3000],
    "Keep-Alive": ["timeout=99999999999999999999"],
}


@dataclass(frozen=True)
class GeneratedReply:
    """Bytes that are sent after `delay_s` in `pieces`. Then the connection stays open, is closed or reset."""

    data: bytes
    is_answer: bool = False
    is_fatal: bool = False
    delay_s: float = 0.0
    pieces: int = 1
    ending: str = "open"


def generate(rng: Random, *, refused: Sequence[int] = REFUSED, fatal: float = 0.0) -> GeneratedReply:
    """A reply of any kind, refusals with a status of `refused`; with probability `fatal` one that refuses every row."""
    kind = (
        "fatal" if rng.random() < fatal else rng.choices(("answer", "refusal", "nonsense", "broken"), (6, 2, 1, 1))[0]
    )
    if kind == "fatal":
        reply = replace(http(rng, rng.choice(FATAL), error_body(rng)), is_fatal=True)
    elif kind == "refusal":
        reply = http(rng, rng.choice(refused), error_body(rng))
    else:
        reply = {"answer": answer, "nonsense": nonsense, "broken": broken}[kind](rng)
    delay_s = rng.choice((0.0, 0.0, 0.0, 0.001, 0.02))
    return replace(reply, delay_s=delay_s, pieces=rng.choice((1, 1, 1, 2, 9)))


def answer(rng: Random) -> GeneratedReply:
    """A complete answer, whatever else is wrong with its reply."""
    usage = f'{{"prompt_tokens": {rng.choice(COUNTS)}, "completion_tokens": {rng.choice(COUNTS)}}}'
    fields = {
        "message": f'{{"role": "assistant", "content": {rng.choice(TEXTS)}, "reasoning_content": {rng.choice(CODES)}}}',
        "finish_reason": rng.choice(CODES),
        "logprobs": rng.choice(LOGPROBS),
    }
    choice = ", ".join(
        f'"{name}": {value}' for name, value in fields.items() if name == "message" or rng.random() < 0.7
    )
    others = {"usage": rng.choice((usage, usage, "null", '"many"', "[]")), "model": rng.choice(CODES)}
    more = "".join(f', "{name}": {value}' for name, value in others.items() if rng.random() < 0.8)
    text = (
        f'{rng.choice(("", "", " ", chr(0xFEFF)))}{{"choices": [{{{choice}}}]{more}}}{rng.choice(("", "", "x", "{"))}'
    )
    body = text.encode("latin-1") if "\xe9" in text and chr(0xFEFF) not in text else text.encode()
    return replace(http(rng, 200, body), is_answer=True)


def error_body(rng: Random) -> bytes:
    code, message, inner = rng.choice(CODES), rng.choice(CODES + TEXTS), rng.choice((*CODES, '{"code": {}}'))
    error = f'{{"code": {code}, "message": {message}, "param": {rng.choice(CODES)}, "innererror": {inner}}}'
    bodies = (
        f'{{"error": {error}}}',
        f'{{"error": {message}}}',
        f'{{"detail": {code}}}',
        "<html>no</html>",
        "",
        "\xff",
    )
    return rng.choice(bodies).encode("latin-1")


def nonsense(rng: Random) -> GeneratedReply:
    """Status 200 without an answer."""
    code = rng.choice(CODES)
    bodies = [
        "",
        "null",
        "<html></html>",
        code,
        "[" * 100_000,
        f'{{"choices": {code}}}',
        f'{{"choices": [{code}]}}',
        f'{{"choices": [{{"message": {rng.choice(("7", "null", "[]"))}}}]}}',
        f'{{"choices": [{{"message": {{"content": {rng.choice(("[1]", "{}", "7", "true"))}}}}}]}}',
        'data: {"choices": []}\n\n',
        '{"choices": [{"message": {"content": "half of',
    ]
    return http(rng, 200, rng.choice(bodies).encode())


def broken(rng: Random) -> GeneratedReply:
    """A reply that HTTP or its compression does not allow, or that ends too early."""
    body = b'{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}'
    zipped = gzip.compress(body.replace(b"yes", rng.randbytes(999).hex().encode()) if rng.random() < 0.5 else body)
    cut = rng.randrange(len(zipped) - 8)
    heads = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + body,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + body,
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 70\r\n\r\n" + body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + body[:9],
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/9.9 200\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00\x01",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        rng.randbytes(rng.randrange(200)),
        encoded(zipped[:cut], "gzip"),
        encoded(zipped[: len(zipped) // 2] + rng.randbytes(40), "gzip"),
        encoded(body, "gzip"),
        encoded(rng.randbytes(60), "br"),
    ]
    return GeneratedReply(rng.choice(heads), ending=rng.choice(("close", "close", "reset")))


def encoded(body: bytes, encoding: str) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(body)) + body
    )


def http(rng: Random, status: int, body: bytes) -> GeneratedReply:
    """A well-formed reply, with unusual headers, in one of the ways to send a body."""
    lines = [f"HTTP/1.1 {status} " + rng.choice(("OK", "", "No \xff"))]
    lines += [f"{name}: {rng.choice(values)}" for name, values in HEADERS.items() if rng.random() < 0.2]
    if status in (204, 304):
        return GeneratedReply(head(lines))
    if rng.random() < 0.3:
        encoding = rng.choice(("gzip", "deflate"))
        body = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
        lines.append(f"Content-Encoding: {encoding}")
    way = rng.choice(("length", "length", "chunked", "close"))
    if way == "chunked":
        size = rng.choice((1, 7, 4096)) if len(body) < 5000 else 4096
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return GeneratedReply(head([*lines, "Transfer-Encoding: chunked"]) + chunks + b"0\r\n\r\n")
    if way == "close":
        return GeneratedReply(head([*lines, "Connection: close"]) + body, ending="close")
    return GeneratedReply(head([*lines, f"Content-Length: {len(body)}"]) + body)


def head(lines: list[str]) -> bytes:
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class GeneratedEndpoint:
    """Endpoint that replies with `reply(row, try)`, and normally to the preflight.

    `answered` are the rows with a complete answer, `sent` the number of replies. Before the first reply that refuses
    every row no other is sent for a second, so that all answers have arrived.
    """

    def __init__(self, reply: Callable[[str, int], GeneratedReply]) -> None:
        self._reply, self._tries = reply, Counter[str]()
        self.answered: set[str] = set()
        self.sent = 0
        self._is_silent = False

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._reply_once(reader, writer):
                pass
        writer.close()

    async def _reply_once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and reply; returns whether the connection stays open."""
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        row = json.loads(await reader.readexactly(length))["messages"][-1]["content"]
        if row == PREFLIGHT_MESSAGES[0]["content"]:
            reply = GeneratedReply(encoded(b'{"choices": [{"message": {"content": "yes"}}]}', "identity"))
        else:
            self._tries[row] += 1
            reply = self._reply(row, self._tries[row])
            if self._is_silent:
                await reader.read()  # until the client ends
                return False
            if reply.is_fatal:
                self._is_silent = True
                await asyncio.sleep(SILENCE_S)
            self.sent += 1
        await self._send(reply, writer)
        if reply.is_answer:
            self.answered.add(row)
        return reply.ending == "open"

    async def _send(self, reply: GeneratedReply, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(reply.delay_s)
        size = -(-len(reply.data) // reply.pieces) or 1
        for start in range(0, len(reply.data), size):
            writer.write(reply.data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        if reply.ending == "reset":
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
