"""Positions of the nodes of a pipeline in a drawing: one column for each step of the longest path, edges as curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Units of the SVG.
BOX_WIDTH, BOX_HEIGHT = 132.0, 46.0
GAP_X, GAP_Y = 36.0, 16.0
MARGIN = 4.0

# Characters of a name that fit a box.
LONGEST_NAME = 18


@dataclass(frozen=True)
class Box:
    """A node: the position of its upper left corner, and its name as far as it fits."""

    name: str
    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """Boxes in the order of the nodes, edges as SVG paths, and the size of the drawing."""

    boxes: tuple[Box, ...]
    edges: tuple[str, ...]
    width: float
    height: float
    box_width: float = BOX_WIDTH
    box_height: float = BOX_HEIGHT


def graph(needs: Mapping[str, Sequence[str]]) -> Graph:
    """Lay out nodes by the names of those that each one needs. A name that is no node is ignored.

    An edge is left out where a longer path leads to the same node: its curve would run behind other boxes.
    """
    columns = _columns(needs)
    by_column: dict[int, list[str]] = {}
    for name, column in columns.items():
        by_column.setdefault(column, []).append(name)
    tallest = max(map(len, by_column.values()), default=0)
    boxes = {
        name: Box(name, _shorten(name), *_position(column, row, len(names), tallest))
        for column, names in by_column.items()
        for row, name in enumerate(names)
    }
    direct = _direct(needs, columns)
    edges = [_edge(boxes[source], boxes[name]) for name in needs for source in direct[name]]
    return Graph(
        boxes=tuple(boxes[name] for name in needs),
        edges=tuple(edges),
        width=2 * MARGIN + len(by_column) * (BOX_WIDTH + GAP_X) - GAP_X,
        height=2 * MARGIN + tallest * (BOX_HEIGHT + GAP_Y) - GAP_Y,
    )


def _columns(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Length of the longest path to each node. Nodes come after those that they need, or are moved there."""
    columns = dict.fromkeys(needs, 0)
    for _ in needs:  # a path has at most as many nodes as the graph
        changed = False
        for name, sources in needs.items():
            column = max((columns[source] + 1 for source in sources if source in columns), default=0)
            changed |= column != columns[name]
            columns[name] = column
        if not changed:
            break
    return columns


def _direct(needs: Mapping[str, Sequence[str]], columns: Mapping[str, int]) -> dict[str, list[str]]:
    """The nodes that each one needs, without those that another one of them needs, too."""
    before: dict[str, set[str]] = {}
    direct: dict[str, list[str]] = {}
    for name in sorted(needs, key=columns.__getitem__):
        sources = [source for source in needs[name] if source in columns]
        indirect = set[str]().union(*(before.get(source, ()) for source in sources))
        before[name] = indirect.union(sources)
        direct[name] = [source for source in sources if source not in indirect]
    return direct


def _position(column: int, row: int, rows: int, tallest: int) -> tuple[float, float]:
    """Columns are centred vertically."""
    top = (tallest - rows) * (BOX_HEIGHT + GAP_Y) / 2
    return MARGIN + column * (BOX_WIDTH + GAP_X), MARGIN + top + row * (BOX_HEIGHT + GAP_Y)


def _edge(source: Box, target: Box) -> str:
    """A curve from the right side of one box to the left side of another."""
    x1, y1 = source.x + BOX_WIDTH, source.y + BOX_HEIGHT / 2
    x2, y2 = target.x, target.y + BOX_HEIGHT / 2
    middle = (x1 + x2) / 2
    return f"M{x1:g},{y1:g} C{middle:g},{y1:g} {middle:g},{y2:g} {x2:g},{y2:g}"


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
