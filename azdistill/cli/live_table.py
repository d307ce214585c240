"""Live table of a run on a terminal: node, state, time, last line of the log."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.live import Live
from rich.table import Table
from rich.text import Text

from azdistill.cli.progress import last_line
from azdistill.cli.render import console
from azdistill.engine.local.results import Event, NodeRun
from azdistill.engine.pipeline.flatten import SEPARATOR

STYLES = {"running": "bold cyan", "completed": "green", "reused": "blue", "failed": "bold red", "skipped": "yellow"}
SHOWN_FIRST = ("running", "failed", "interrupted")
# Lines of the terminal that are kept free: one for the count of nodes that are not shown, one for the prompt.
FREE_LINES = 2
# Space between two columns, and the least width of the log lines and of the names, in characters.
GAP, MIN_LINE, MIN_NAME = 2, 30, 12

# Name, state, time and last log line of a node.
Row = tuple[Text, Text, Text, Text]


@contextmanager
def live_table(stream: TextIO) -> Iterator[Callable[[Event], None]]:
    """Yield a function that shows an event. The table is redrawn in place, and stays when the block ends."""
    table, terminal = LiveTable(), console(stream)
    with Live(console=terminal, auto_refresh=False) as live:
        yield lambda event: live.update(table.render(event, terminal.width, terminal.height - FREE_LINES), refresh=True)


class LiveTable:
    """Start times of running nodes, and the last log lines of ended ones."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._last_lines: dict[str, Text] = {}

    def render(self, event: Event, width: int, height: int) -> Table:
        """One line for each node, below the name of its pipeline component. Of more than `height` nodes, the running
        and failed ones come first, then the latest ones that fit."""
        rows: list[Row] = []
        shown = _select(list(event.nodes.values()), height)
        current_component = ""
        for node in shown:
            component, _, name = node.name.rpartition(SEPARATOR)
            if component and component != current_component:
                rows.append((Text(component, "dim"), Text(), Text(), Text()))
            current_component = component
            state = Text(node.state, STYLES.get(node.state, "dim"))
            label = Text(f"  {name}" if component else name, "bold")
            rows.append((label, state, Text(self._time(node)), self._last_line(node)))
        if len(shown) < len(event.nodes):
            more = Text(f"and {len(event.nodes) - len(shown)} more", "dim")
            rows.append((more, Text(), Text(), Text(_count_states(event))))
        return _table(rows, width)

    def _time(self, node: NodeRun) -> str:
        """For a running node: seconds since the first event with it."""
        if node.state == "running":
            started = self._started.setdefault(node.name, time.monotonic())
            return f"{time.monotonic() - started:.0f} s"
        return f"{node.seconds:.1f} s" if node.seconds else ""

    def _last_line(self, node: NodeRun) -> Text:
        if node.state == "running":
            return _plain(last_line(node.log), node.name)
        if node.state not in ("completed", "failed"):
            return Text()
        if node.name not in self._last_lines:
            self._last_lines[node.name] = _plain(last_line(node.log), node.name)
        return self._last_lines[node.name]


def _plain(line: str, name: str) -> Text:
    """A line without its colours and links, because a log must not put links on the terminal, and without the name of
    its node."""
    return Text(Text.from_ansi(line).plain.removeprefix(f"{name}: "))


def _table(rows: list[Row], width: int) -> Table:
    """A table of this width. States and times are complete; log lines are cut first, then names in the middle."""
    table = Table.grid(padding=(0, GAP))
    name, state, time = (max((row[column].cell_len for row in rows), default=0) for column in range(3))
    free = width - state - time - 3 * GAP
    name = min(name, max(free - MIN_LINE, MIN_NAME))
    table.add_column(width=name, no_wrap=True)
    table.add_column(width=state, no_wrap=True)
    table.add_column(width=time, no_wrap=True, justify="right")
    table.add_column(width=max(free - name, 1), no_wrap=True, overflow="ellipsis", style="dim")
    for label, *cells in rows:
        table.add_row(_shorten(label, name), *cells)
    return table


def _shorten(name: Text, length: int) -> Text:
    if name.cell_len <= length:
        return name
    end = (length - 1) // 2
    return name[: length - 1 - end] + Text("…", name.style) + name[-end:]


def _select(nodes: list[NodeRun], height: int) -> list[NodeRun]:
    """The nodes to show, in the order of the run."""
    if len(nodes) <= height:
        return nodes
    first = [node for node in nodes if node.state in SHOWN_FIRST]
    ended = [node for node in nodes if node.state not in (*SHOWN_FIRST, "waiting")]
    waiting = [node for node in nodes if node.state == "waiting"]
    selected = {node.name for node in (first + ended[::-1] + waiting)[:height]}
    return [node for node in nodes if node.name in selected]


def _count_states(event: Event) -> str:
    """`148 completed, 50 waiting`, of all nodes."""
    states = [node.state for node in event.nodes.values()]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
