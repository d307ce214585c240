"""Job files beside the data and student that they name."""

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
    (tmp_path / "student").mkdir()
    return tmp_path


@pytest.fixture
def check(folder: Path) -> Check:
    """A job file's text to its job and its findings, each as a line without the folder."""

    def checked(text: str) -> tuple[DistillationJob | None, list[str]]:
        path = folder / "job.yaml"
        path.write_text(text)
        job, found = check_job(path)
        return job, [shown(finding, folder) for finding in found]

    return checked


def shown(finding: Problem, folder: Path) -> str:
    return str(finding).replace(f"{folder}/", "").removeprefix("job.yaml:")
