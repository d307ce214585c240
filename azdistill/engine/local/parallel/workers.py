"""The engine's side of a worker process of a parallel node: mini-batches and results are sent over a socket."""

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

from azdistill.engine.local.attempts import NodeAttempt
from azdistill.engine.local.parallel.batches import MiniBatch
from azdistill.engine.local.processes import Stopped

_SCRIPT = Path(__file__).with_name("scripts") / "worker.py"
_RECEIVE_BYTES = 1 << 16
# Seconds between the end of a worker's socket and the end of its process.
_EXIT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class BatchAttempt:
    """One try of a mini-batch, numbered from 1."""

    batch: MiniBatch
    number: int = 1


class Worker:
    """A worker process. It receives `settings` when it starts, and must be ready within `timeout` seconds."""

    def __init__(self, attempt: NodeAttempt, number: int, settings: Mapping[str, Any], timeout: float) -> None:
        self.number, self.log = number, attempt.log.with_name(f"log.{number}.txt")
        self.ready = False
        self.batch: BatchAttempt | None = None
        self.deadline = monotonic() + timeout
        self._unread = b""
        self._stack = ExitStack()
        self._socket = self._start(attempt)
        self._send(settings)

    def _start(self, attempt: NodeAttempt) -> socket.socket:
        engine_socket, worker_socket = socket.socketpair()
        with worker_socket:
            command = f"exec python {shlex.quote(str(_SCRIPT))} {worker_socket.fileno()}"
            launch = replace(attempt.launch(command, log=self.log), descriptors=(worker_socket.fileno(),))
            self._stack.enter_context(engine_socket)
            try:
                self._running = self._stack.enter_context(attempt.processes.start(launch))
            except BaseException:
                self._stack.close()
                raise
        return engine_socket

    @property
    def is_idle(self) -> bool:
        """True if the worker is ready for a mini-batch."""
        return self.ready and self.batch is None

    def fileno(self) -> int:
        """The file descriptor of its socket, for selectors."""
        return self._socket.fileno()

    def set_ready(self) -> None:
        """Mark the worker as ready, when its init() is done."""
        self.ready, self.deadline = True, math.inf

    def send_batch(self, batch: BatchAttempt, result: Path, seconds: float) -> None:
        """Send a mini-batch, which must be done within `seconds`. The worker writes its rows to `result`."""
        self.batch, self.deadline = batch, monotonic() + seconds
        self._send({"index": batch.batch.index, "result": str(result), **batch.batch.content})

    def take_batch(self) -> BatchAttempt:
        """Return the worker's mini-batch, and make the worker idle."""
        batch, self.batch, self.deadline = self.batch, None, math.inf
        assert batch is not None
        return batch

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # `receive` reports a worker that has ended
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """New messages of the worker; None when it has ended."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except ConnectionResetError:
            data = b""
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def describe_exit(self) -> str:
        """The end of the worker's process, for a message: `exited with 1`."""
        code = self._running.wait(_EXIT_TIMEOUT_S)
        if code is None:
            return "closed its connection"
        return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"

    def stop(self) -> None:
        """Signal the end of the mini-batches: the worker calls shutdown() and exits."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None while it still runs after `seconds`."""
        return self._running.wait(seconds)

    def close(self) -> None:
        """End its process if it still runs."""
        with suppress(Stopped):
            self._stack.close()
