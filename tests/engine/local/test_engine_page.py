"""The example of docs/engine.md runs, and the page names existing options only."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.local.results import RunResult
from azdistill.engine.pipeline.checks import validate_file
from tests.cli.conftest import Command, azdistill, folder  # noqa: F401

TEXT = (Path(__file__).parents[3] / "docs" / "engine.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)```", TEXT, re.MULTILINE | re.DOTALL))
PYTHON = re.findall(r":\n\n```python\n((?:def test|from pathlib).*?)```", TEXT, re.DOTALL)


@pytest.fixture
def example(folder: Path) -> Path:  # noqa: F811
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    numbers = [number * 7 % 31 for number in range(30)]
    (folder / "numbers.csv").write_text("\n".join(f"{n},{'large' if n > 5 else 'small'}" for n in numbers))
    return folder


def test_the_example_has_no_problems(example: Path) -> None:
    assert [str(problem) for problem in validate_file(example / "pipeline.yml")] == []


@pytest.mark.slow  # four trials import mlflow
def test_the_example_runs_by_command_function_and_fixture(
    example: Path,
    azdistill: Command,  # noqa: F811
    run_azureml_pipeline: Callable[..., RunResult],
) -> None:
    done = azdistill("run", "pipeline.yml", "-o", "run")
    assert done.code == 0, done.err
    for path in re.findall(r"`(run/[\w./]+)`", TEXT):
        assert Path(path).is_file(), path
    answers = Path("run/ask/answers").read_text().splitlines()
    assert len(answers) == 10
    assert all((int(number) > 5) == (word == "large") for number, word in map(str.split, answers))

    names: dict[str, Any] = {}
    in_a_test, by_function = PYTHON
    exec(by_function, names)
    assert {node.state for node in names["result"].nodes.values()} == {"reused"}
    exec(in_a_test, names)
    names["test_it_finds_the_threshold"](run_azureml_pipeline)


def test_the_page_names_existing_options_only(azdistill: Command) -> None:  # noqa: F811
    known = "".join(azdistill(verb, "--help").out for verb in ("run", "runs", "validate"))
    assert set(re.findall(r"--[a-z][a-z-]+", TEXT)) - set(re.findall(r"--[a-z][a-z-]+", known)) == {"--model"}
