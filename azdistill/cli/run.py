"""azdistill run: a job, a bundle or anyone's pipeline on this machine."""

import os
from pathlib import Path
from typing import Annotated

import typer

from azdistill.cli.options import (
    Copies,
    Duplicates,
    Interpreters,
    MakeEnvironments,
    Preempted,
    Rows,
    Settings,
    with_rows,
)


def run(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="a job file, a bundle, or anyone's pipeline or component")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="run folder; default: runs/NAME, of the job or the file")
    ] = None,
    settings: Settings = None,
    rows: Rows = None,
    copies: Copies = None,
    interpreters: Interpreters = None,
    make_environments: MakeEnvironments = False,
    preempted: Preempted = None,
    duplicates: Duplicates = 0.0,
    until: Annotated[
        str | None, typer.Option("--until", metavar="NODE", help="run this node and what it needs, then stop")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="NODE", help="run this node and all after it again; those before are reused"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="rehearse a job: simulated teacher, tiny student, first rows, no gates")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="say which nodes would run and why; run none")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="nodes side by side; default: as many as cores")] = None,
) -> None:
    """Run a job, bundle, pipeline or component on this machine.

    It runs as Azure ML would run it: same bundle, same commands. A job is compiled into the run folder first.
    What has not changed is not run again, and an interrupted run continues where it was. AZDISTILL_HOME
    (default: .azdistill) is the folder of what runs share: the teacher's answers and the model registry, datastores,
    downloads, and registered components in components/NAME/VERSION/component.yml.

    A component's own inputs are set with --set inputs.NAME=VALUE; a path is relative to the current folder.

    A dry run takes the job's own bundle and sets its inputs: it proves that the parts fit together before
    anything is paid for, says what it replaced, and keeps to its run folder (default: runs/NAME-dry-run).

    Example: azdistill run job.yaml -o runs/first --until curate --rows 100

    Exit codes: 0 done, 1 a node failed, 2 wrong input, 3 a gate refused the student, 130 interrupted.
    """
    from azdistill.cli.request import copies_of, faults_of, interpreters_of, read_request, settings_of
    from azdistill.cli.running import explain_run, perform
    from azdistill.engine.local.options import RunOptions
    from azdistill.engine.local.selection import NodeSelection

    options = RunOptions(
        inputs=settings_of(with_rows(settings, rows)),
        selection=NodeSelection(until, start),
        data=copies_of(copies or ()),
        interpreters=interpreters_of(interpreters or ()),
        make_environments=make_environments,
        jobs=jobs or os.cpu_count() or 1,
        faults=faults_of(preempted or (), duplicates),
    )
    request = read_request(path, output, options, dry_run)
    if explain:
        explain_run(request)
    else:
        perform(request)
