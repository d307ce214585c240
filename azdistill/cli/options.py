"""Options that several verbs have."""

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    text = "text"
    json = "json"


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="inputs.NAME=VALUE", help="set a pipeline input; again for more"),
]
Rows = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="only the first N rows of each file: --set inputs.rows=N")
]

Copies = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="NAME=PATH",
        help="a local copy of registered data (iris:1), or of an address or a folder of it; again for more; "
        "or a YAML file of such names and paths",
    ),
]
Interpreters = Annotated[
    list[str] | None,
    typer.Option(
        "--env",
        metavar="NAME=PYTHON",
        help="the Python of nodes with this environment: an interpreter, or the folder of a virtual environment",
    ),
]
MakeEnvironments = Annotated[
    bool,
    typer.Option("--make-environments", help="make a virtual environment of the pip packages of each environment"),
]
Preempted = Annotated[
    list[str] | None,
    typer.Option(
        "--preempt",
        metavar="NODE[=SECONDS]",
        help="end this node so long after its start, once, as a spot machine is taken away; it begins again",
    ),
]
Duplicates = Annotated[
    float,
    typer.Option(min=0, max=1, metavar="SHARE", help="of a parallel node's mini-batches to deliver twice"),
]


def with_rows(settings: list[str] | None, rows: int | None) -> list[str]:
    """The settings, with the one that `--rows` stands for."""
    return [*(settings or []), *([f"inputs.rows={rows}"] if rows else [])]
