"""Progress of a run: a live table on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from azdistill.cli.render import print_text
from azdistill.engine.local.results import Event, NodeRun

# Bytes at the end of a log in which the last line is searched.
TAIL_BYTES = 4096
# Seconds between two lines about a running node, if the output is not a live table.
PERIOD_S = 10.0


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows an event on `stream`, by default standard error: standard output has the result."""
    stream = stream or sys.stderr
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from azdistill.cli.live_table import live_table

        with live_table(stream) as show:
            yield show
    else:
        yield ProgressLines(stream)


class ProgressLines:
    """Print a line for each change of a node's state. The last line of its log is printed from time to time while the
    node runs, and when it has completed: steps end with a summary."""

    def __init__(self, stream: TextIO, period_s: float = PERIOD_S) -> None:
        self._stream, self._period_s = stream, period_s
        self._states: dict[str, str] = {}
        self._printed_at: dict[str, float] = {}
        self._printed: dict[str, str] = {}
        self._of_earlier: dict[str, str] = {}  # last lines of interrupted attempts, whose logs are continued

    def __call__(self, event: Event) -> None:
        for node in sorted(event.nodes.values(), key=lambda node: node.state == "running"):  # ended nodes first
            if node.state != self._states.get(node.name, "waiting"):
                self._states[node.name] = node.state
                if node.state == "running":
                    self._of_earlier[node.name] = last_line(node.log)
                if node.state == "completed":
                    self._print(node.name, last_line(node.log))
                self._print(node.name, describe(node))
            elif node.state == "running" and time.monotonic() - self._printed_at[node.name] >= self._period_s:
                line = last_line(node.log)
                self._print(node.name, "" if line == self._of_earlier.get(node.name) else line)

    def _print(self, name: str, text: str) -> None:
        self._printed_at[name] = time.monotonic()
        if text and text != self._printed.get(name):
            self._printed[name] = text
            print_text(text if text.startswith(f"{name}: ") else f"{name}: {text}", file=self._stream, flush=True)


def describe(node: NodeRun) -> str:
    """The state of a node in words: `completed in 31.2 s`."""
    if node.state == "completed":
        return f"completed in {node.seconds:.1f} s"
    if node.state == "failed":
        return f"failed with exit code {node.exit_code} after {node.seconds:.1f} s"
    return {"running": "started", "skipped": "skipped, because a node failed"}.get(node.state, node.state)


def last_line(log: Path) -> str:
    """The last line of a log that may still be written. Empty if the log has no line yet."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            tail = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")
