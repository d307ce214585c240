"""The minimal client that others are compared with: an asyncio protocol without retries and store.

`python -m benchmarks.bare URL PROMPTS IN_FLIGHT` sends every prompt once, over IN_FLIGHT connections.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "


class Connection(asyncio.Protocol):
    """Sends the next prompt as soon as the last answer is complete."""

    def __init__(self, requests: list[bytes], answers: list[str], done: asyncio.Future[None]) -> None:
        self._requests, self._answers, self._done = requests, answers, done
        self._buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self._requests:
            self._transport.write(self._requests.pop())
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(END_OF_HEAD)
        if end < 0:
            return
        start = self._buffer.lower().index(LENGTH, 0, end) + len(LENGTH)
        length = int(self._buffer[start : self._buffer.index(b"\r", start)])
        body = self._buffer[end + len(END_OF_HEAD) :]
        if len(body) == length:
            self._answers.append(orjson.loads(body)["choices"][0]["message"]["content"])
            self._buffer = b""
            self._next()

    def connection_lost(self, _problem: Exception | None) -> None:
        self._done.set_result(None)


def requests(host: str, prompts: Path) -> list[bytes]:
    """The bytes of all requests, in reverse order."""
    encoded = []
    for line in prompts.read_bytes().splitlines():
        body = orjson.dumps({"model": "m", "messages": orjson.loads(line)["messages"], "max_tokens": 256})
        fields = f"Host: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        encoded.append(f"POST /v1/chat/completions HTTP/1.1\r\n{fields}".encode() + END_OF_HEAD + body)
    return encoded[::-1]


async def ask(url: str, prompts: Path, in_flight: int) -> int:
    loop, address = asyncio.get_running_loop(), urlsplit(url)
    waiting, answers = requests(address.netloc, prompts), list[str]()
    connections: list[asyncio.Future[None]] = [loop.create_future() for _ in range(in_flight)]
    for done in connections:
        await loop.create_connection(
            partial(Connection, waiting, answers, done), str(address.hostname), address.port or 80
        )
    await asyncio.gather(*connections)
    return len(answers)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(ask(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))), "answers")
