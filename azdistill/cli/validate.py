"""azdistill validate: is a job, a bundle or a pipeline right, before anything is spent?"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    text = "text"
    json = "json"


def validate(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a job file, a bundle, or any pipeline file")],
    format: Annotated[Format, typer.Option("--format", help="json: a list of findings, for programs")] = Format.text,
    sdk: Annotated[
        bool, typer.Option("--sdk", help="ask Azure's own client too, which needs no login but the extra `azure`")
    ] = False,
) -> None:
    """Check a job, a bundle or a pipeline, and run nothing.

    Every finding is told at once, each with its file and line, value, field and next move.
    Warnings, about what Azure ML would ignore, leave the exit code alone.

    Example: azdistill validate job.yaml

    Exit codes: 0 it is right, 2 it is not.
    """
    from azdistill.cli.checking import tell_as_json, tell_in_words

    (tell_as_json if format == Format.json else tell_in_words)(path, sdk)
