"""Options that several verbs have."""

from typing import Annotated

import typer

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="inputs.NAME=VALUE", help="set a pipeline input; again for more"),
]
Rows = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="only the first N rows of each file: --set inputs.rows=N")
]


def with_rows(settings: list[str] | None, rows: int | None) -> list[str]:
    """The settings, with the one that `--rows` stands for."""
    return [*(settings or []), *([f"inputs.rows={rows}"] if rows else [])]
