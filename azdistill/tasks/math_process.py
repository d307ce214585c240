"""Compare expressions with math-verify, in a process that is reused, and restarted when it hangs or ends."""

import atexit
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec

from azdistill.contracts.errors import InputError
from azdistill.tasks import math_worker

# Longer than two parses and a comparison with math-verify's own timeouts, and the start of the process.
TIMEOUT_S = 3 * math_worker.TIMEOUT_S + 6


@lru_cache(maxsize=100_000)
def is_expression(text: str) -> bool:
    """True if math-verify can parse a LaTeX expression."""
    return _WORKER.ask("parse", text)


@lru_cache(maxsize=100_000)
def equal(answer: str, reference: str) -> bool:
    """True if two LaTeX expressions are equal. An expression that takes too long is not equal to any other."""
    return _WORKER.ask("verify", reference, answer)


class _Worker:
    """The process. Requests of several threads are answered one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, *request: str) -> bool:
        with self._lock:
            # A process that has ended gets a second try: an earlier request may have ended it.
            answer = self._try(request)
            return self._try(request) == "true" if answer == "" else answer == "true"

    def _try(self, request: Sequence[str]) -> str | None:
        """`true` or `false`, empty if the process has ended, None if it hangs. It is stopped in both cases."""
        process = self._running()
        assert process.stdin
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer: str | None = self._lines.get(timeout=TIMEOUT_S).strip()
        except OSError:
            answer = ""
        except queue.Empty:
            answer = None
        if not answer:
            self.stop()
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            if find_spec("math_verify") is None:
                raise InputError(
                    "math-verify is not installed",
                    code="missing_package",
                    field=("task",),
                    value="math",
                    fix="install it",
                    command="pip install 'azdistill[eval]'",
                )
            self._process, self._lines = _start()
        return self._process

    def stop(self) -> None:
        process, self._process = self._process, None
        if process and process.stdin:
            process.kill()
            process.wait()
            with suppress(OSError):  # the rest of a request that was not read
                process.stdin.close()


def _start() -> tuple[subprocess.Popen[str], "queue.SimpleQueue[str]"]:
    """The process, and the lines that it writes; an empty one at its end."""
    process = subprocess.Popen(
        [sys.executable, "-P", math_worker.__file__],  # -P: next to the file is another math.py
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout
        with process.stdout as stream:
            for line in stream:
                lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    return process, lines


_WORKER = _Worker()
atexit.register(_WORKER.stop)
