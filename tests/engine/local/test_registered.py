"""Registered components in the local registry."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.local.registered import registered_in
from azdistill.engine.pipeline.checks import pipeline_problems, require_runnable
from azdistill.engine.pipeline.flatten import SEPARATOR
from azdistill.engine.pipeline.loading import load_pipeline
from tests.engine.local.conftest import Project

SAY = """
type: command
name: say
inputs: {word: {type: string, default: none}}
outputs: {out: {type: uri_file}}
code: ./src
command: sh say.sh @ ${{inputs.word}} > ${{outputs.out}}
"""


@pytest.fixture
def registry(project: Project) -> Project:
    for version in ("1", "9", "10"):
        project.write(f"home/components/say/{version}/component.yml", SAY.replace("@", version))
        project.write(f"home/components/say/{version}/src/say.sh", 'echo "$@"\n')
    return project


def job(component: str, kind: str = "command") -> str:
    return f"jobs:\n  go: {{type: {kind}, component: '{component}', inputs: {{word: hello}}}}\n"


@pytest.mark.parametrize(
    ("address", "version"),
    [
        ("azureml:say:9", "9"),
        ("azureml:say@latest", "10"),
        ("azureml:say", "10"),
        ("azureml://registries/any/components/say/versions/1", "1"),
        ("azureml://registries/any/components/say/labels/latest", "10"),
        ("azureml:/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/components/say/versions/9", "9"),
    ],
)
def test_a_registered_component_runs_from_the_folder_of_its_version(
    registry: Project, address: str, version: str
) -> None:
    registry.write("pipeline.yml", job(address))
    registry.run().check()
    assert registry.text("go") == f"{version} hello\n"


def test_its_ports_are_checked_as_those_of_a_file(registry: Project) -> None:
    registry.write("pipeline.yml", job("azureml:say:1").replace("word:", "wrod:"))
    problems = pipeline_problems(load_pipeline(registry.pipeline, registered_in(registry.home)))
    assert ("unknown_input", "did you mean 'word'?") in [(problem.code, problem.fix) for problem in problems]


def test_a_registered_pipeline_component_may_contain_registered_components(registry: Project) -> None:
    registry.write(
        "home/components/both/1/component.yml",
        "$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json\n"
        "type: pipeline\ninputs: {word: {type: string}}\n"
        "jobs: {inner: {component: 'azureml:say@latest', inputs: {word: '${{parent.inputs.word}}'}}}\n",
    )
    registry.write("pipeline.yml", job("azureml:both:1", "pipeline"))
    registry.run().check()
    assert registry.text(f"go{SEPARATOR}inner") == "10 hello\n"


@pytest.mark.parametrize(
    ("address", "folder"),
    [
        ("azureml:say:2", "say/2"),
        ("azureml:shout:1", "shout/1"),
        ("azureml:shout@latest", "shout/1"),
        ("azureml:shout", "shout/1"),
    ],
)
def test_a_missing_component_is_refused_with_a_path_for_it(registry: Project, address: str, folder: str) -> None:
    registry.write("pipeline.yml", job(address))
    with pytest.raises(PipelineError) as error:
        registry.run()
    (problem,) = error.value.problems
    assert (problem.line, problem.field, problem.value) == (2, ("jobs", "go", "component"), address)
    assert f"{registry.home}/components/{folder}/component.yml" in problem.fix


@pytest.mark.parametrize("address", ["azureml:../x:1", "azureml:say@default", "azureml:say:1:2", "azureml://a/b"])
def test_an_address_that_is_not_one_of_a_component_is_refused(registry: Project, address: str) -> None:
    registry.write("pipeline.yml", job(address))
    with pytest.raises(
        PipelineError, match=r"has no file of this registered component \(local engine\); name its file"
    ):
        registry.run()


def test_without_a_registry_no_registered_component_is_found(registry: Project) -> None:
    registry.write("pipeline.yml", job("azureml:say:1"))
    with pytest.raises(
        PipelineError, match=r"has no file of this registered component \(local engine\); name its file"
    ):
        require_runnable(load_pipeline(registry.pipeline))
    require_runnable(load_pipeline(registry.pipeline, registered_in(registry.home)))


@pytest.mark.parametrize(
    ("versions", "latest"),
    [
        (["1.9", "1.10"], "1.10"),
        (["2", "10"], "10"),
        (["2024-01-31", "2023-12-01"], "2024-01-31"),
        (["a", "1"], "1"),
        (["1.0", "1"], "1.0"),
        (["v2", "v10"], "v10"),
    ],
)
def test_the_latest_is_the_highest_version(tmp_path: Path, versions: list[str], latest: str) -> None:
    for version in versions:
        (tmp_path / "components/say" / version).mkdir(parents=True)
        (tmp_path / "components/say" / version / "component.yml").touch()
    (tmp_path / "components/say/99").mkdir()
    path = registered_in(tmp_path)("azureml:say@latest")
    assert path is not None
    assert path.parent.name == latest


@pytest.mark.parametrize("kind", ["spark", "automl", "import", "data_transfer", "if_else", "do_while"])
def test_a_job_type_that_only_azure_runs_is_refused_with_the_supported_ones(project: Project, kind: str) -> None:
    project.write("pipeline.yml", f"jobs:\n  before: {{command: 'true'}}\n  go: {{type: {kind}}}\n")
    with pytest.raises(PipelineError) as error:
        project.run()
    problem = error.value.problems[-1]  # the first one of an import job is that of Azure's client
    assert (problem.code, problem.line, problem.value) == ("unsupported_locally", 3, kind)
    assert problem.field == ("jobs", "go", "type")
    assert "command" in problem.fix
    assert not project.folder.exists()


def test_a_component_of_a_type_that_only_azure_runs_is_refused(project: Project) -> None:
    project.write("part.yml", "type: spark\nname: count\n")
    project.write("pipeline.yml", "jobs:\n  go:\n    component: ./part.yml\n")
    with pytest.raises(PipelineError) as error:
        project.run()
    (problem,) = error.value.problems
    assert (problem.code, problem.line, problem.value) == ("unsupported_locally", 2, "spark")
