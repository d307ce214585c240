"""azdistill schedule: distil again at fixed times, in an Azure ML workspace."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Settings
from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# Every run trains on what its data files have then, and answers that were bought before are found in the store.
NO_REUSE = "compute.force_rerun=true"


def schedule(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="JOB", help="job file")],
    cron: Annotated[
        str,
        typer.Option(metavar="EXPRESSION", help="minutes, hours, *, *, days of the week: '0 6 * * 1' is Monday 6:00"),
    ],
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Windows name of the time zone, such as 'W. Europe Standard Time'")
    ] = "UTC",
    settings: Settings = None,
    config: Config = None,
    write_only: Annotated[
        bool, typer.Option("--write-only", help="write the file for `az ml schedule create`, and send nothing")
    ] = False,
) -> None:
    """Distil again at fixed times, in an Azure ML workspace.

    Compiles the job to bundles/NAME, writes bundles/NAME.schedule.yml and creates the schedule, or replaces the one of
    the same name. Every run reads the data files again, because otherwise Azure ML reuses the last student. Answers
    that were bought before are not bought again. Name the registered student as student.baseline, so that a new one
    has to beat it.

    Example: azdistill schedule job.yaml --cron '0 6 * * 1' --set student.baseline=azureml:support:3

    Exit codes: 0 scheduled, 1 failed, 2 wrong input.
    """
    from azdistill.azure.checks.bundle import check_bundle, stop_at_problems
    from azdistill.azure.roles import workspace_options
    from azdistill.azure.schedules import CronSchedule, check_cron, create_schedule, schedule_name, write_schedule
    from azdistill.cli.options import read_job_settings
    from azdistill.cli.paths import job_file, read_job
    from azdistill.cli.workspace import suppress_output, workspace_client
    from azdistill.job.bundle import compile_job
    from azdistill.job.student_folder import check_student

    check_cron(cron)
    job = read_job(job_file(path), read_job_settings([*(settings or ()), NO_REUSE], is_job=True))
    check_schedulable(job)
    check_student(job)
    bundle = compile_job(job, Path("bundles", job.name)).parent
    planned = CronSchedule(schedule_name(job.name), bundle, " ".join(cron.split()), time_zone)
    file = bundle.with_name(f"{bundle.name}.schedule.yml")
    write_schedule(planned, file)
    if write_only:
        print_text(f"{file}\ncreate it with: az ml schedule create --file {file}")
        return
    client = workspace_client(context, config)
    for result in stop_at_problems(check_bundle(client, bundle, None, date.today())):
        print_text(result)
    with suppress_output():
        created = create_schedule(client, planned)
    print_text(f"schedule {created.name}: {planned.cron} {time_zone}; {file}")
    print_text(f"stop it:  az ml schedule disable --name {created.name} {workspace_options(client)}")


def check_schedulable(job: "DistillationJob") -> None:
    """Raise InputError for a job that cannot run in a workspace without a user.

    Prints a warning if every run reads the same rows.
    """
    from azdistill.contracts.errors import InputError
    from azdistill.job.paths import FILES, is_remote

    if job.teacher.teacher_route == "simulated":
        raise InputError(
            "the simulated teacher runs on this machine, out of reach for a job in Azure",
            field=("teacher", "teacher_route"),
            value="simulated",
            code="simulated_teacher",
            fix="set it to endpoint",
        )
    if job.compute.identity.type == "user_identity":
        raise InputError(
            "a schedule runs without a user",
            field=("compute", "identity", "type"),
            value="user_identity",
            code="needs_managed_identity",
            fix="set it to managed_identity",
        )
    paths = [path for name in FILES if (path := getattr(job.data, name))]
    if not any(is_remote(path) for path in paths):
        print_text(
            "warning: every run gets the rows of today, which are a part of the bundle; to train on new rows, set "
            "data.training_data to the address of a file in a datastore",
            file=sys.stderr,
        )
