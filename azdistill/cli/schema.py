"""azdistill schema: print the JSON Schema of a job file."""

from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="write the schema to this file")
    ] = None,
) -> None:
    """Print the JSON Schema of a job file, for editors.

    With it, an editor offers fields, help and bounds while you type. Start the job file with the line
    # yaml-language-server: $schema=./job.schema.json

    Example: azdistill schema -o job.schema.json

    Exit codes: 0 written, 2 wrong input.
    """
    import json

    from azdistill.cli.paths import write_output
    from azdistill.job.schema import job_schema

    text = json.dumps(job_schema(), indent=2)
    if output is None:
        print_text(text)
        return
    write_output(output, text + "\n")
    print_text(f"wrote {output}")
