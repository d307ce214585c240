"""Print columns and tables, on a terminal or to a file or pipe."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Width of the output in characters if it is not a terminal.
WIDTH = 120


def console() -> "Console":
    """A rich console as wide as the terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns. No text is truncated, because a program may read it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
