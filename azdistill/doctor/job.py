"""A job file: its mistakes, its warnings, and the student that lies here."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from azdistill.azure.checks.check import Check
from azdistill.contracts.errors import DataError
from azdistill.contracts.problems import Problem
from azdistill.doctor.found import from_error
from azdistill.job.loading import check_job
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.students.folders import tokenizer_part, weight_files


def check_file(path: Path, today: date) -> tuple[DistillationJob | None, list[Check]]:
    """The job, None where the file is wrong, and what is to be said of it. `today` decides which models are retired."""
    job, found = check_job(path, today)
    said = [_said(problem) for problem in found]
    return job, [*_right(job), *said, *_student(job)] if job else said


def _said(problem: Problem) -> Check:
    place = (
        f"{problem.file.name}:{problem.line}"
        if problem.file and problem.line
        else problem.file.name
        if problem.file
        else ""
    )
    detail, _, move = problem.text.partition("; ")
    return Check(place, "wrong" if problem.severity == "error" else "unknown", detail, move)


def _right(job: DistillationJob) -> Iterator[Check]:
    names = ", ".join(teacher.called for teacher in job.teacher.teachers)
    yield Check("job", "ok", f"{job.name} ({job.task}), from {names} to {job.student.model}")


def _student(job: DistillationJob) -> Iterator[Check]:
    """One in a registry is looked for with the rest of the workspace."""
    if is_remote(job.student.model):
        return
    folder = Path(job.student.model)
    what = f"student {str(folder)!r}"
    try:
        tokenizer_part(folder)
        files = len(weight_files(folder))
    except DataError as problem:
        yield from_error(what, problem)
        return
    yield _weights(what, files, random=job.student.weights == "random")


def _weights(what: str, files: int, *, random: bool) -> Check:
    if random or files:
        return Check(
            what, "ok", f"config.json, tokenizer, {'weights to be drawn' if random else f'{files} weight files'}"
        )
    return Check(what, "wrong", "no *.safetensors beside config.json", "download them, or set student.weights: random")
