"""`force` goes past the errors that only Azure's client or service refuses, and past no other."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.local.engine import explain
from azdistill.engine.problems import Problem, can_be_forced
from tests.engine.local.conftest import Project
from tests.engine.pipeline.wrong import AREAS, P, find_problems


def test_a_pipeline_that_only_azure_refuses_runs(project: Project) -> None:
    project.write("pipeline.yml", """
type: pipeline
jobs:
  a:
    command: echo ${{inputs.n}} > ${{outputs.out}}
    limits: {timeoutt: 3}
    inputs: {n: 5}
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    with pytest.raises(PipelineError, match="timeoutt"):
        project.run()
    project.run(force=True).check()
    assert project.text("a") == "5\n"


@pytest.mark.parametrize("area", AREAS)
def test_a_wrong_pipeline_can_be_forced_if_nothing_of_it_is_refused_here(area: str, tmp_path: Path) -> None:
    """An error that the engine has stays at its line. Data that is not here, or not as its type says, is one of the
    resolver."""
    for number, (name, case) in enumerate(AREAS[area].cases.items()):
        folder = tmp_path / str(number)
        problems = find_problems(folder, AREAS[area], case)
        errors = [problem for problem in problems if problem.severity == "error" and problem.scope != "azure"]
        refused = [problem for problem in errors if not can_be_forced(problem)]
        reported = forced_problems(folder)
        is_about_data = all(problem.code == "invalid_pipeline" and problem.line for problem in reported)
        assert reported == refused or (is_about_data and not refused), name


def forced_problems(folder: Path) -> list[Problem]:
    """The problems with which a forced run would end."""
    try:
        explain(folder / P, folder / "run", home=folder / "home", force=True)
    except PipelineError as error:
        return list(error.problems)
    return []
