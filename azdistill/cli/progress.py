"""Progress of a run: the log of a single node; of several a live table on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    stream, display = stream or sys.stderr, None
    with ExitStack() as stack:

        def show(event: Event) -> None:
            nonlocal display
            display = display or _display_for(event, stream, stack)
            display(event)

        yield show


def _display_for(event: Event, stream: TextIO, stack: ExitStack) -> Callable[[Event], None]:
    if len(event.nodes) == 1:
        return SingleLog(stream)
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return ProgressLines(stream)
    from azdistill.cli.live_table import live_table

    return stack.enter_context(live_table(stream))


class SingleLog:
    """Print the log of a run's only node as it is written, between the changes of the node's state."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._state = "waiting"
        self._position = 0
        self._incomplete = b""  # a line of which the end has not been written

    def __call__(self, event: Event) -> None:
        (node,) = event.nodes.values()
        if self._state != node.state and node.state == "running":
            self._position = node.log.stat().st_size if node.log.is_file() else 0  # after an interrupted attempt
        elif self._state == "running":
            self._print_new_lines(node)
        if node.state not in (self._state, "waiting"):
            again = f"; --from {node.name} runs it again" if node.state == "reused" else ""
            self._print(f"{node.name}: {describe(node)}{again}")
        self._state = node.state

    def _print_new_lines(self, node: NodeRun) -> None:
        if not node.log.is_file():
            return
        with node.log.open("rb") as log:
            log.seek(self._position)
            *lines, self._incomplete = (self._incomplete + log.read()).split(b"\n")
            self._position = log.tell()
        if node.state != "running" and self._incomplete:
            lines.append(self._incomplete)
        for line in lines:
            # Of a progress bar, which returns to the start of its line, the last state.
            self._print(line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace").expandtabs())

    def _print(self, text: str) -> None:
        print_text(text, file=self._stream, flush=True)


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
        code = "" if node.exit_code is None else f" with exit code {node.exit_code}"
        return f"failed{code} after {node.seconds:.1f} s"
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
