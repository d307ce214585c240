"""The live table of a run: node, state, time, last words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from azdistill.cli.progress import last_line
from azdistill.local.results import Event, NodeRun

STYLES = {"running": "bold cyan", "completed": "green", "reused": "blue", "failed": "bold red", "skipped": "yellow"}


@contextmanager
def board(stream: TextIO) -> Iterator[Callable[[Event], None]]:
    """Yields what shows an event. The table is drawn over itself and stays when the block ends."""
    seen: dict[str, float] = {}
    with Live(console=Console(file=stream), auto_refresh=False) as live:
        yield lambda event: live.update(_table(event, seen), refresh=True)


def _table(event: Event, seen: dict[str, float]) -> Table:
    table = Table.grid(padding=(0, 2))
    for style in ("bold", None, None):
        table.add_column(style=style, no_wrap=True)
    table.columns[2].justify = "right"
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
    for node in event.nodes.values():
        table.add_row(node.name, Text(node.state, STYLES.get(node.state, "dim")), _time(node, seen), _words(node))
    return table


def _time(node: NodeRun, seen: dict[str, float]) -> str:
    """Seconds so far of a running node, counted from when it was first seen."""
    if node.state == "running":
        return f"{time.monotonic() - seen.setdefault(node.name, time.monotonic()):.0f} s"
    return f"{node.seconds:.1f} s" if node.seconds else ""


def _words(node: NodeRun) -> Text:
    ran = node.state in {"running", "completed", "failed"}
    return Text.from_ansi(last_line(node.log) if ran else "")
