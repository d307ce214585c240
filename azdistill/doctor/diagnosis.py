"""All that is looked at, in the order in which one needs the other."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from azdistill.azure.checks.check import Check
from azdistill.doctor.machine import check_machine
from azdistill.doctor.workspace import Opener, check_azure


def diagnose(job: Path | None, config: Path | None, open_client: Opener, *, offline: bool) -> Iterator[Check]:
    """This machine, the job where one is given, the workspace of `config`, and the job's teachers.

    `open_client` raises InputError where there is no workspace. A teacher is asked one short question, which is paid
    for, unless `offline`. Raises InputError for a job file that can't be read at all.
    """
    yield from check_machine()
    if job is None:
        yield from check_azure(config, open_client, None)
        return
    from azdistill.doctor.job import check_file
    from azdistill.doctor.teachers import check_teachers

    read, found = check_file(job, date.today())
    yield from found
    yield from check_azure(config, open_client, read)
    if read:
        yield from check_teachers(read.teacher, offline=offline)
