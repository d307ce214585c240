"""azdistill plan: what a job will do and take, before it does."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.options import Format


def plan(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="the job file (YAML)")],
    format: Annotated[Format, typer.Option("--format", help="json: one object, for programs")] = Format.text,
) -> None:
    """Show what a job does and takes: nodes, rows, cost, memory.

    It counts the rows of local files and asks nobody. Tokens are a range from the length of the rows, answers at
    most max_tokens long; what the store has already costs nothing again. A cost is shown when the teacher has
    input_price and output_price.

    Example: azdistill plan job.yaml

    Exit codes: 0 shown, 2 wrong input.
    """
    from azdistill.cli.planned import tell_as_json, tell_in_words

    (tell_as_json if format == Format.json else tell_in_words)(job)
