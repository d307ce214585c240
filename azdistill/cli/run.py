"""azdistill run: a job, a bundle or anyone's pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def run(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="a job file, a bundle, or any pipeline of command components")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="run folder; default: runs/NAME, of the job or the file")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="inputs.NAME=VALUE", help="set a pipeline input; again for more"),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="say which nodes would run and why; run none")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="nodes side by side; default: as many as cores")] = None,
) -> None:
    """Run a job, a bundle or any pipeline on this machine.

    It runs as Azure ML would run it: same bundle, same commands. A job is compiled into the run folder first.
    What has not changed is not run again, and an interrupted run continues where it was. AZDISTILL_HOME
    (default: .azdistill) is the folder of what runs share: the teacher's answers and the model registry.

    Example: azdistill run job.yaml -o runs/first --set inputs.rows=100

    Exit codes: 0 done, 1 a node failed, 2 wrong input, 3 a gate refused the student, 130 interrupted.
    """
    from azdistill.cli.request import read_request
    from azdistill.cli.running import explain_run, perform

    request = read_request(path, output, settings or [])
    if explain:
        explain_run(request)
    else:
        perform(request, jobs)
