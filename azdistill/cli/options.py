"""Options that several verbs have, and the values that they stand for."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    text = "text"
    json = "json"


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="inputs.NAME=VALUE", help="set a pipeline input; repeatable"),
]
Rows = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="use only the first N rows of each file: --set inputs.rows=N")
]

INPUTS = "inputs."


def read_settings(settings: Sequence[str] | None, rows: int | None) -> dict[str, str]:
    """Values of pipeline inputs by name, from --set and --rows. Raises InputError for another form."""
    from azdistill.contracts.errors import InputError

    values = {}
    for setting in [*(settings or ()), *([f"{INPUTS}rows={rows}"] if rows else ())]:
        name, equals, value = setting.removeprefix(INPUTS).partition("=")
        if not (setting.startswith(INPUTS) and name and equals):
            raise InputError(
                "must be inputs.NAME=VALUE",
                subject=f"--set {setting!r}",
                code="wrong_format",
                fix="only pipeline inputs can be set",
            )
        values[name] = value
    return values
