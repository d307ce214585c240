"""Print text, columns and tables, on a terminal or to a file or pipe.

All text of the command line is printed through `print_text` and `console`: what comes from outside, such as answers,
logs and names in files, cannot control the terminal.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from azdistill.engine.problems import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Width of the output in characters if it is not a terminal.
WIDTH = 120


def print_text(*values: object, sep: str = " ", file: TextIO | None = None, flush: bool = False) -> None:
    """Print values as `print` does, with control characters escaped."""
    print(printable(sep.join(map(str, values))), file=file, flush=flush)


class PrintableStream:
    """A text stream for output of other packages, with control characters escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console(stream: TextIO | None = None) -> "Console":
    """A rich console as wide as the terminal, which escapes control characters; by default on standard output."""
    from rich.console import Console
    from rich.segment import Segment

    class PrintableConsole(Console):
        def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
            for segment in super().render(*arguments, **options):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    stream = stream or sys.stdout
    return PrintableConsole(file=stream, width=None if stream.isatty() else WIDTH)


def framed_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> "Table":
    """A table for `console`. A word that is wider than its column continues on the next line; nothing is cut off."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(Text(heading), overflow="fold") for heading in columns))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns, each on one line. No text is truncated, because a program may read it."""
    rows = [[text.replace("\n", "\\n") for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_text("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
