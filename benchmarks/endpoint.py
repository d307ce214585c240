"""The simulated teacher behind a minimal HTTP server, for `make bench-teacher`.

The server must be faster than the clients that are measured, so it supports only the HTTP that they need. Replies,
limits and faults are those of `azdistill simulate`. It records when each answer was sent, so that all clients are
measured in the same way; `GET /` returns the records as JSON. It ends when stdin closes.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import uvloop

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.experts import conversation
from azdistill.simulate.server import HOST, reset
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.simulate.wire import HttpReply

END_OF_HEAD = b"\r\n\r\n"


class Recorder:
    """Times and counts of requests, on the clock that all processes of a machine share."""

    def __init__(self, teacher: SimulatedTeacher) -> None:
        self.teacher = teacher
        self.first_request: float | None = None
        self.answered: list[float] = []

    def to_json(self) -> dict[str, Any]:
        bought = self.teacher.bought
        return {
            "first_request": self.first_request,
            "answered": self.answered,
            "calls": dict(self.teacher.calls),
            "bought": sum(bought.values()),
            "distinct": len(bought),
            "cpu_s": time.process_time(),
        }


class Connection(asyncio.Protocol):
    """One connection: sequential requests with a Content-Length."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._buffer = recorder, b""
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for line, headers, body in self._requests():
            task = asyncio.get_running_loop().create_task(self._reply(line, headers, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _requests(self) -> Iterator[tuple[str, dict[str, str], bytes]]:
        while (end := self._buffer.find(END_OF_HEAD)) >= 0:
            line, *rest = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in rest)}
            start, length = end + len(END_OF_HEAD), int(headers.get("content-length", 0))
            if len(self._buffer) < start + length:
                return
            yield line, headers, self._buffer[start : start + length]
            self._buffer = self._buffer[start + length :]

    async def _reply(self, line: str, headers: dict[str, str], body: bytes) -> None:
        if line.startswith("GET"):
            self._send(HttpReply(200, json.dumps(self._recorder.to_json()).encode()))
            return
        self._recorder.first_request = self._recorder.first_request or time.monotonic()
        reply = await self._recorder.teacher.respond(headers, body)
        if reply.status == 200:
            self._recorder.answered.append(time.monotonic())
        self._send(reply)

    def _send(self, reply: HttpReply) -> None:
        if reply.ending == "reset":
            reset(self._transport)
        if reply.ending in ("reset", "never") or self._transport.is_closing():
            return
        self._transport.write(head(reply) + reply.body[: len(reply.body) // 2 if reply.ending == "cut" else None])
        if reply.ending == "cut":
            self._transport.close()


def head(reply: HttpReply) -> bytes:
    fields = {**reply.headers, "Content-Type": reply.content_type, "Content-Length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} -", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + END_OF_HEAD


async def serve(simulation: Simulation, port: int) -> None:
    loop = asyncio.get_running_loop()
    recorder = Recorder(SimulatedTeacher(simulation, conversation))
    server = await loop.create_server(lambda: Connection(recorder), HOST, port, backlog=4096)
    print(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Simulation.model_validate_json(sys.argv[1]), int(sys.argv[2])))
