"""azdistill init: write a job folder to start from."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text


def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a new or empty folder")],
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK", help="conversation, nli, qa, math, summarization, or own: a Python file that you write"
        ),
    ] = "conversation",
    teacher: Annotated[
        str, typer.Option(metavar="MODEL", help="name of the teacher, see `azdistill models`")
    ] = "deepseek-v3",
    student: Annotated[
        str, typer.Option(metavar="MODEL", help="name of the student, see `azdistill models`, or its folder")
    ] = "phi-4-mini",
    example: Annotated[
        str | None, typer.Option(metavar="NAME", help="copy a complete example instead: support")
    ] = None,
) -> None:
    """Write a job folder to start from.

    It contains a valid, commented job.yaml, its schema for editors, a few rows and a README. With --example it
    contains a complete job: rows, student and a simulated teacher.

    Example: azdistill init my-job --task qa --student phi-4-mini

    Exit codes: 0 written, 2 wrong input.
    """
    from azdistill.cli.paths import read_job, writable
    from azdistill.job.scaffold.folder import bring_example, start_job

    if example:
        _refuse_choices(context)
    with writable(folder):
        bring_example(example, folder) if example else start_job(folder, task, teacher, student)
    job = folder / "job.yaml"
    read_job(job)
    print_text(f"wrote {job}")
    if example:
        print_text(f"check it: {shlex.join(['azdistill', 'validate', str(job)])}")
        print_text(f"run it:   {shlex.join(['azdistill', 'run', str(job)])}")
    else:
        print_text(f"try it:   {shlex.join(['azdistill', 'run', str(job), '--dry-run'])}")
        check = shlex.join(["azdistill", "validate", str(job)])
        print_text(f"check it: {check}, once it has the endpoint of your teacher")


def _refuse_choices(context: typer.Context) -> None:
    """Raise InputError for an option that an example does not have: it is copied as it is."""
    from azdistill.contracts.errors import InputError

    for name in ("task", "teacher", "student"):
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            message = "an example has its own task, teacher and student"
            raise InputError(message, subject=f"--{name} {context.params[name]!r}", fix=f"remove --{name} or --example")
