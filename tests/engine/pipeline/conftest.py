"""A valid pipeline of two command components, to be made wrong in one place at a time."""

from pathlib import Path

import pytest

from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.problems import Problem
from tests.engine.pipeline.examples import COMMAND_FILES
from tests.engine.pipeline.wrong import write_files


class PipelineFolder:
    """Files of a valid pipeline, which a test edits, and the problems of the result."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pipeline = root / "pipeline.yml"
        write_files(root, COMMAND_FILES)

    def write(self, name: str, text: str) -> None:
        write_files(self.root, {name: text})

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert before in text, f"{before!r} is not in {name}"
        self.write(name, text.replace(before, after, 1))

    def problems(self) -> list[Problem]:
        return validate_file(self.pipeline)

    def summary(self) -> list[tuple[str, str, int]]:
        """Code, file name and line of each problem."""
        return [(problem.code, problem.file.name if problem.file else "", problem.line) for problem in self.problems()]


@pytest.fixture
def files(tmp_path: Path) -> PipelineFolder:
    return PipelineFolder(tmp_path)
