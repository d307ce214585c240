"""azdistill compile: a job file to a bundle."""

from pathlib import Path
from typing import Annotated

import typer


def compile_(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="the job file (YAML)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for the bundle: new, empty, or a bundle")],
) -> None:
    """Write a job as a bundle, to run here and on Azure ML.

    A bundle is the folder that `azdistill run`, the SDK and `az ml job create` all take. The same job gives
    the same bytes, from any directory and at any time, so `git diff` on a bundle shows what a change of the
    job does.

    Example: azdistill compile job.yaml -o bundle

    Exit codes: 0 written, 2 wrong input.
    """
    from azdistill.cli.paths import job_file, read_job
    from azdistill.job.bundle import compile_job

    pipeline = compile_job(read_job(job_file(job)), output)
    print(f"wrote {pipeline}")
    print(f"run it here:      azdistill run {output}")
    print(f"run it on Azure:  az ml job create -f {pipeline}")
