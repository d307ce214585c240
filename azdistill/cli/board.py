"""The live tree of a run: node, state, time, last words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from azdistill.cli.progress import last_line
from azdistill.engine.local.results import Event, NodeRun
from azdistill.engine.pipeline.flatten import SEPARATOR

STYLES = {"running": "bold cyan", "completed": "green", "reused": "blue", "failed": "bold red", "skipped": "yellow"}
SHOWN_FIRST = ("running", "failed", "interrupted")
SPARE_LINES = 2
"""Of a terminal's height: one for what is left out, one for the prompt."""


@contextmanager
def board(stream: TextIO) -> Iterator[Callable[[Event], None]]:
    """Yields what shows an event. The table is drawn over itself and stays when the block ends."""
    shown = Board()
    console = Console(file=stream)
    with Live(console=console, auto_refresh=False) as live:
        yield lambda event: live.update(shown.table(event, console.height - SPARE_LINES), refresh=True)


class Board:
    """What has been seen of a run: since when its nodes run, and the last words of those that ended."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._words: dict[str, Text] = {}

    def table(self, event: Event, height: int) -> Table:
        """One line for each node, under the name of the pipeline component that it is in. Where there are more than
        `height`, those that run or failed come first, then as many as there is room for, from the end of the run."""
        table = _grid()
        kept = _kept(list(event.nodes.values()), height)
        around = ""
        for node in kept:
            outer, _, name = node.name.rpartition(SEPARATOR)
            if outer and outer != around:
                table.add_row(Text(outer, "dim"))
            around = outer
            state = Text(node.state, STYLES.get(node.state, "dim"))
            table.add_row(f"  {name}" if outer else name, state, self._time(node), self._last_words(node))
        if len(kept) < len(event.nodes):
            table.add_row(Text(f"and {len(event.nodes) - len(kept)} more", "dim"), "", "", _counted(event))
        return table

    def _time(self, node: NodeRun) -> str:
        """Seconds so far of a running node, counted from when it was first seen."""
        if node.state == "running":
            since = self._since.setdefault(node.name, time.monotonic())
            return f"{time.monotonic() - since:.0f} s"
        return f"{node.seconds:.1f} s" if node.seconds else ""

    def _last_words(self, node: NodeRun) -> Text:
        if node.state == "running":
            return Text.from_ansi(last_line(node.log))
        if node.state not in ("completed", "failed"):
            return Text()
        if node.name not in self._words:
            self._words[node.name] = Text.from_ansi(last_line(node.log))
        return self._words[node.name]


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    for style in ("bold", None, None):
        table.add_column(style=style, no_wrap=True)
    table.columns[2].justify = "right"
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis", ratio=1)
    return table


def _kept(nodes: list[NodeRun], height: int) -> list[NodeRun]:
    """In the order of the run."""
    if len(nodes) <= height:
        return nodes
    ended = [node for node in nodes if node.state not in (*SHOWN_FIRST, "waiting")]
    waiting = [node for node in nodes if node.state == "waiting"]
    first = [node for node in nodes if node.state in SHOWN_FIRST]
    chosen = {node.name for node in (first + ended[::-1] + waiting)[:height]}
    return [node for node in nodes if node.name in chosen]


def _counted(event: Event) -> str:
    """`148 completed, 50 waiting`, of all nodes."""
    states = [node.state for node in event.nodes.values()]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
