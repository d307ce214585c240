"""Job files in a folder with their data and student."""

from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.problems import Problem
from azdistill.job.loading import check_job
from azdistill.job.model import DistillationJob

Check = Callable[[str], tuple[DistillationJob | None, list[str]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "test.jsonl").write_text("{}\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "student").mkdir()
    return tmp_path


@pytest.fixture
def check(folder: Path) -> Check:
    """Check the text of a job file: the job, and a line per problem: `LINE CODE: TEXT`."""

    def checked(text: str) -> tuple[DistillationJob | None, list[str]]:
        path = folder / "job.yaml"
        path.write_text(text)
        job, problems = check_job(path)
        return job, [shown(problem, folder) for problem in problems]

    return checked


def shown(problem: Problem, folder: Path) -> str:
    assert problem.file
    prefix = f"{problem.file.name}:" if problem.file.name != "job.yaml" else ""
    return f"{prefix}{problem.line} {problem.code}: {problem.text}".replace(f"{folder}/", "")
