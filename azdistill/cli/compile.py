"""azdistill compile: compile a job file to a bundle."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.render import print_text


def compile_(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="job file (YAML)")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="folder for the bundle: a new or empty one, or an older bundle"
        ),
    ],
) -> None:
    """Compile a job to a bundle, for this machine and Azure ML.

    A bundle is a folder that `azdistill run`, the SDK and `az ml job create` accept. The same job gives the same
    bytes, in any directory and at any time: `git diff` of a bundle shows the effect of a change to the job.

    Example: azdistill compile job.yaml -o bundle

    Exit codes: 0 written, 2 wrong input.
    """
    from azdistill.cli.paths import job_file, read_job, writable
    from azdistill.job.bundle import compile_job

    model = read_job(job_file(job))
    with writable(output):
        pipeline = compile_job(model, output)
    print_text(f"wrote {pipeline}")
    print_text(f"run it on this machine:  {shlex.join(['azdistill', 'run', str(output)])}")
    print_text(f"run it on Azure ML:      {shlex.join(['az', 'ml', 'job', 'create', '-f', str(pipeline)])}")
