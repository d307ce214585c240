"""Check a job file, and the student's folder if it is on this machine."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from azdistill.azure.checks.result import CheckResult, from_problem, ok
from azdistill.doctor.data import check_files
from azdistill.job.loading import check_job, located
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.job.placeholders import placeholder_problems
from azdistill.job.student_folder import student_problems


def check_job_file(path: Path, today: date) -> tuple[DistillationJob | None, list[CheckResult]]:
    """The job, None where the file has errors, and the results. `today` decides which models are retired."""
    job, problems = check_job(path, today)
    problems += located(path, placeholder_problems(job) if job else ())
    results = [from_problem(problem.location, problem) for problem in problems]
    if job is None:
        return None, results
    teachers = ", ".join(teacher.called for teacher in job.teacher.teachers)
    summary = ok("job", f"{job.name} ({job.task}), from {teachers} to {job.student.model}")
    return job, [summary, *results, *_check_student(job), *_check_rows(job)]


def _check_rows(job: DistillationJob) -> Iterator[CheckResult]:
    for file in check_files(job):
        checked = f"data.{file.name}"
        for problem in file.problems:
            yield from_problem(checked, problem)
        if file.summary:
            yield ok(checked, file.summary)


def _check_student(job: DistillationJob) -> Iterator[CheckResult]:
    """A student in a registry is checked with the workspace."""
    if is_remote(job.student.model):
        return
    checked = f"student {job.student.model!r}"
    problems = list(student_problems(job))
    for problem in problems:
        yield from_problem(checked, problem)
    if not problems:
        weights = "its weights are random" if job.student.weights == "random" else "weights"
        yield ok(checked, f"config.json, tokenizer, chat template; {weights}")
