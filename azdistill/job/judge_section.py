"""Section `judge` of a job: the judge, its rubric, and labels of people."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from azdistill.contracts.errors import DataError
from azdistill.contracts.judge import JudgeConfig
from azdistill.contracts.problems import Problem
from azdistill.job.paths import SpecPath, is_remote, is_rubric_file, resolve


def _rubric(rubric: str, info: ValidationInfo) -> str:
    if not rubric.strip():
        raise PydanticCustomError("empty_rubric", "is empty", {"fix": "write what makes an answer good"})
    return resolve(rubric, info) if is_rubric_file(rubric) else rubric


# A text, or the path of a file relative to the job file.
SpecRubric = Annotated[str, AfterValidator(_rubric)]


class JudgeSection(JudgeConfig):
    """The model that judges the answers of student, teacher and baseline, its rubric, and labels of people."""

    rubric: SpecRubric = Field(
        description="What makes an answer good: a text, or a file such as ./rubric.md. The judge decides by it alone."
    )
    human_labels: SpecPath | None = Field(
        None,
        description="JSONL file of verdicts by people, to measure how far the judge agrees with them.",
    )


def judge_file_problems(section: Any, base: Path = Path()) -> Iterator[Problem]:
    """Problems in the content of the local files of a section, whose values may be invalid in other ways."""
    values = section.model_dump() if isinstance(section, JudgeSection) else section
    if not isinstance(values, dict):
        return
    from azdistill.contracts.judge_files import read_labels, read_rubric
    from azdistill.contracts.verdicts import JudgeMode

    mode = values.get("mode", "pairwise")
    rubric, labels = values.get("rubric"), values.get("human_labels")
    if isinstance(rubric, str) and is_rubric_file(rubric):
        yield from _content_problems(rubric, base, read_rubric)
    if isinstance(labels, str) and mode in get_args(JudgeMode):
        yield from _content_problems(labels, base, lambda path: list(read_labels(path, mode)))


def _content_problems(file: str, base: Path, read: Callable[[Path], object]) -> Iterator[Problem]:
    """The problem of a local file that exists. An empty one is reported with the other files."""
    path = Path(base, file)
    if is_remote(file) or not os.path.isfile(path) or not path.stat().st_size:
        return
    try:
        read(path)
    except DataError as error:
        yield from error.problems
