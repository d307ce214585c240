"""Check a job file, and the student's folder if it is on this machine."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from azdistill.azure.checks.result import CheckResult, failed, from_problem, ok
from azdistill.contracts.errors import DataError
from azdistill.job.loading import check_job
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.students.folders import tokenizer_folder, weight_files


def check_job_file(path: Path, today: date) -> tuple[DistillationJob | None, list[CheckResult]]:
    """The job, None where the file has errors, and the results. `today` decides which models are retired.

    A warning has the status unknown.
    """
    job, problems = check_job(path, today)
    results = [
        from_problem(problem.location, problem, "problem" if problem.severity == "error" else "unknown")
        for problem in problems
    ]
    if job is None:
        return None, results
    teachers = ", ".join(teacher.called for teacher in job.teacher.teachers)
    summary = ok("job", f"{job.name} ({job.task}), from {teachers} to {job.student.model}")
    return job, [summary, *results, *_check_student(job)]


def _check_student(job: DistillationJob) -> Iterator[CheckResult]:
    """A student in a registry is checked with the workspace."""
    if is_remote(job.student.model):
        return
    folder = Path(job.student.model)
    checked = f"student {str(folder)!r}"
    try:
        tokenizer_folder(folder)
        weights = len(weight_files(folder))
    except DataError as error:
        for problem in error.problems:
            yield from_problem(checked, problem)
        return
    if job.student.weights == "random":
        yield ok(checked, "config.json, tokenizer; its weights are random")
    elif weights:
        yield ok(checked, f"config.json, tokenizer, {weights} weight files")
    else:
        message, fix = "no *.safetensors next to config.json", "download them, or set student.weights: random"
        yield failed(checked, "no_weights", message, fix)
