"""azdistill convert: convert Azure's own distillation job to a job file."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.engine.yaml_document import Document


def convert(
    native: Annotated[Path, typer.Argument(metavar="FILE", help="file of Azure's own type: distillation")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JOB", help="new job file to write")],
) -> None:
    """Convert Azure's own distillation job to a job file.

    Prints every difference with its line: fields that change, and fields that are dropped, with the reason. A key in
    the file is never copied. All other commands accept the native file too, and print the same differences.

    Example: azdistill convert distillation.yaml -o job.yaml

    Exit codes: 0 written, 2 wrong input.
    """
    from azdistill.cli.paths import read_job
    from azdistill.job.native.convert import converted, moved
    from azdistill.job.native.job import read_native

    document = _native(native)
    _check_new(output)
    job = read_job(native)
    values = moved(converted(read_native(document.value)).values, native.parent, output.parent)
    _write(output, values)
    print_text(f"wrote {output}; job {job.name} ({job.task})")
    print_text(f"check it: {shlex.join(['azdistill', 'validate', str(output)])}")


def _native(path: Path) -> "Document":
    """Raises InputError for a file of another type."""
    from azdistill.contracts.errors import InputError, SpecError
    from azdistill.engine.yaml_document import read_document
    from azdistill.job.native import TYPE, is_native

    document = read_document(path, SpecError, "native job file")
    if not is_native(document.value):
        raise InputError(
            f"must be {TYPE}, Azure's own job",
            file=path,
            field=("type",),
            value=document.value.get("type"),
            code="wrong_type",
            fix="other files need no conversion",
        )
    return document


def _check_new(output: Path) -> None:
    from azdistill.contracts.errors import InputError

    if output.exists():
        raise InputError("exists already", file=output, code="file_exists", fix="give the path of a new file")


def _write(output: Path, values: dict[str, Any]) -> None:
    """Write the job file, and next to it the schema that its first line refers to. Raises InputError."""
    from azdistill.cli.paths import write_output
    from azdistill.engine.pipeline.emit import to_yaml
    from azdistill.job.scaffold.folder import HEADER, SCHEMA
    from azdistill.job.schema import job_schema

    write_output(output, HEADER + to_yaml(values))
    if not (schema := output.parent / SCHEMA).exists():
        write_output(schema, json.dumps(job_schema(), indent=2) + "\n")
