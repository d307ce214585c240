"""A run while it runs: a live table on a terminal, plain lines anywhere else."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from azdistill.engine.local.results import Event, NodeRun

TAIL_BYTES = 4096
PERIOD_S = 10.0
"""Time between two lines about a node that takes long, where nobody watches."""


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callable[[Event], None]]:
    """Yields what shows an event. Default: the standard error, so that the standard output holds the outcome."""
    stream = stream or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from azdistill.cli.board import board

        with board(stream) as show:
            yield show
    else:
        yield Lines(stream)


class Lines:
    """One line for each change of state, and now and then the last words of a node that takes long."""

    def __init__(self, stream: TextIO, period_s: float = PERIOD_S) -> None:
        self._stream, self._period_s = stream, period_s
        self._states: dict[str, str] = {}
        self._spoke: dict[str, float] = {}
        self._words: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        for node in sorted(event.nodes.values(), key=lambda node: node.state == "running"):  # first what has ended
            if node.state != self._states.get(node.name, "waiting"):
                self._states[node.name] = node.state
                self._say(node.name, happened(node))
            elif node.state == "running" and time.monotonic() - self._spoke[node.name] >= self._period_s:
                self._say(node.name, last_line(node.log))

    def _say(self, name: str, text: str) -> None:
        self._spoke[name] = time.monotonic()
        if text and text != self._words.get(name):
            self._words[name] = text
            print(text if text.startswith(f"{name}: ") else f"{name}: {text}", file=self._stream, flush=True)


def happened(node: NodeRun) -> str:
    """A state in words: `completed in 31.2 s`."""
    if node.state == "completed":
        return f"completed in {node.seconds:.1f} s"
    if node.state == "failed":
        return f"failed with exit code {node.exit_code} after {node.seconds:.1f} s"
    return {"running": "started", "skipped": "skipped, as a node failed"}.get(node.state, node.state)


def last_line(log: Path) -> str:
    """The last words of a log that is being written; empty when there are none yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            tail = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")
