"""azdistill schema: the JSON Schema of a job file."""

from pathlib import Path
from typing import Annotated

import typer


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="write it there")] = None,
) -> None:
    """Print the JSON Schema of a job file, for editors.

    An editor that knows it offers fields, help and bounds while you type. Begin the job file with the line
    # yaml-language-server: $schema=./job.schema.json

    Example: azdistill schema -o job.schema.json

    Exit codes: 0 written, 2 wrong input.
    """
    import json

    from azdistill.contracts.errors import InputError
    from azdistill.contracts.files import write_text
    from azdistill.job.schema import job_schema

    text = json.dumps(job_schema(), indent=2)
    if output is None:
        print(text)
        return
    try:
        write_text(output, text + "\n")
    except OSError as problem:
        raise InputError(f"--output {str(output)!r}: {problem.strerror}; name a file that can be written") from None
    print(f"wrote {output}")
