"""Columns and tables on a terminal, or for a file or program that reads the output."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Columns where the output is no terminal.
WIDTH = 120


def console() -> "Console":
    """A rich console as wide as the terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows with aligned columns. Nothing is cut, because a program may read it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
