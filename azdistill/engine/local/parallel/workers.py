"""A worker process, seen from the engine: it gets mini-batches through a socket and answers there."""

import json
import math
import shlex
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from azdistill.engine.local.parallel.batches import MiniBatch
from azdistill.engine.local.processes import Stopped
from azdistill.engine.local.task import Task

_SCRIPT = Path(__file__).with_name("scripts") / "worker.py"
_AT_ONCE = 1 << 16
_EXIT_S = 5.0
"""Between the end of its socket and that of its process."""


@dataclass(frozen=True)
class Attempt:
    """One try of a mini-batch, counted from 1."""

    batch: MiniBatch
    number: int = 1


class Worker:
    """A process that is started and told `orders`, and has `seconds` to get ready. What it prints is in `log`."""

    def __init__(self, task: Task, number: int, orders: Mapping[str, Any], seconds: float) -> None:
        self.number, self.log = number, task.log.with_name(f"log.{number}.txt")
        self.ready = False
        self.attempt: Attempt | None = None
        self.deadline = monotonic() + seconds
        self._unread = b""
        self._stack = ExitStack()
        self._socket = self._start(task)
        self._send(orders)

    def _start(self, task: Task) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = f"exec python {shlex.quote(str(_SCRIPT))} {theirs.fileno()}"
            launch = replace(task.launch(command, log=self.log), descriptors=(theirs.fileno(),))
            self._stack.enter_context(ours)
            try:
                self._running = self._stack.enter_context(task.processes.start(launch))
            except BaseException:
                self._stack.close()
                raise
        return ours

    @property
    def is_idle(self) -> bool:
        return self.ready and self.attempt is None

    def fileno(self) -> int:
        return self._socket.fileno()

    def is_ready(self) -> None:
        self.ready, self.deadline = True, math.inf

    def give(self, attempt: Attempt, result: Path, seconds: float) -> None:
        """Have it run a mini-batch within `seconds`, and write what comes of it to `result`."""
        self.attempt, self.deadline = attempt, monotonic() + seconds
        self._send({"index": attempt.batch.index, "result": str(result), **attempt.batch.content})

    def release(self) -> Attempt:
        """The mini-batch that it had."""
        attempt, self.attempt, self.deadline = self.attempt, None, math.inf
        assert attempt is not None
        return attempt

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the end of a dead worker is seen where it is heard
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """What it has said since; None when it is gone."""
        try:
            found = self._socket.recv(_AT_ONCE)
        except ConnectionResetError:
            found = b""
        *lines, self._unread = (self._unread + found).split(b"\n")
        return [json.loads(line) for line in lines] if found else None

    def how_it_ended(self) -> str:
        code = self._running.wait(_EXIT_S)
        if code is None:
            return "closed its connection"
        return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"

    def dismiss(self) -> None:
        """Nothing more comes: it calls shutdown() and exits."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> int | None:
        return self._running.wait(seconds)

    def close(self) -> None:
        """End it, if it has not ended."""
        with suppress(Stopped):
            self._stack.close()
