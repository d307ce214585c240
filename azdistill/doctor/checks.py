"""All checks of `azdistill doctor`, in the order in which one depends on another."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from azdistill.azure.checks.result import CheckResult
from azdistill.doctor.machine import check_machine
from azdistill.doctor.workspace import ClientFactory, check_azure


def check_all(
    job_file: Path | None, config: Path | None, open_client: ClientFactory, *, offline: bool
) -> Iterator[CheckResult]:
    """Check this machine, the job file if there is one, the workspace of `config`, and the job's teachers,
    judge and scorer.

    `open_client` raises InputError where there is no workspace. Each teacher gets one short request, which is paid for,
    unless `offline`. Raises InputError for a job file that cannot be read.
    """
    yield from check_machine()
    if job_file is None:
        yield from check_azure(config, open_client, None)
        return
    from azdistill.doctor.job import check_job_file
    from azdistill.doctor.teachers import check_scorer, check_teachers

    job, results = check_job_file(job_file, date.today())
    yield from results
    yield from check_azure(config, open_client, job)
    if job:
        yield from check_teachers(job.teacher, offline=offline)
        if job.judge:
            yield from check_teachers(job.judge.requests, offline=offline)
        if job.scorer and job.scorer.teacher:
            yield check_scorer(job.scorer, job.scorer.scorer_route, offline=offline)
