"""azdistill convert: a distillation job of Azure's own to a job file."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from azdistill.engine.yaml_document import Document


def convert(
    native: Annotated[Path, typer.Argument(metavar="FILE", help="a file of type: distillation, as `az ml` takes it")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="JOB", help="the job file to write; a new one")],
) -> None:
    """Write Azure's own distillation job as a job file.

    Every difference is told, each with its line: what becomes what, what is left out and why. A key in the file is
    never carried over. All other commands take the native file itself too, and tell the same differences.

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
    print(f"wrote {output}; job {job.name} ({job.task})")
    print(f"check it: {shlex.join(['azdistill', 'validate', str(output)])}")


def _native(path: Path) -> "Document":
    """Raises InputError for a file that is no job of Azure's own."""
    from azdistill.contracts.errors import InputError, SpecError
    from azdistill.engine.yaml_document import read_document
    from azdistill.job.native import TYPE, is_native

    document = read_document(path, SpecError, "native job file")
    if not is_native(document.value):
        given = f"type={document.value['type']!r}" if "type" in document.value else "no type"
        raise InputError(f"{path}: {given}: expected type: {TYPE}, Azure's own job; other files need no conversion")
    return document


def _check_new(output: Path) -> None:
    from azdistill.contracts.errors import InputError

    if output.exists():
        raise InputError(f"--output {str(output)!r} is there already; name a new file")


def _write(output: Path, values: dict[str, Any]) -> None:
    """The job, and beside it the schema that its first line tells editors of. Raises InputError."""
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.files import write_text
    from azdistill.engine.pipeline.emit import to_yaml
    from azdistill.job.scaffold.folder import HEADER, SCHEMA
    from azdistill.job.schema import job_schema

    try:
        write_text(output, HEADER + to_yaml(values))
        if not (schema := output.parent / SCHEMA).exists():
            write_text(schema, json.dumps(job_schema(), indent=2) + "\n")
    except OSError as problem:
        raise InputError(f"--output {str(output)!r}: {problem.strerror}; name a file that can be written") from None
