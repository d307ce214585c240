"""Registered components from a folder of this machine."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.local.registered import registered_in
from azdistill.engine.pipeline.checks import require_runnable
from azdistill.engine.pipeline.flatten import SEPARATOR
from azdistill.engine.pipeline.loading import load_pipeline
from tests.engine.local.conftest import Workshop

SAY = """
type: command
name: say
inputs: {word: {type: string, default: none}}
outputs: {out: {type: uri_file}}
code: ./src
command: sh say.sh @ ${{inputs.word}} > ${{outputs.out}}
"""


@pytest.fixture
def registry(shop: Workshop) -> Workshop:
    for version in ("1", "9", "10"):
        shop.write(f"home/components/say/{version}/component.yml", SAY.replace("@", version))
        shop.write(f"home/components/say/{version}/src/say.sh", 'echo "$@"\n')
    return shop


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
    registry: Workshop, address: str, version: str
) -> None:
    registry.write("pipeline.yml", job(address))
    registry.run().check()
    assert registry.text("go") == f"{version} hello\n"


def test_its_ports_are_checked_as_those_of_a_file(registry: Workshop) -> None:
    registry.write("pipeline.yml", job("azureml:say:1").replace("word:", "wrod:"))
    with pytest.raises(PipelineError, match=r"jobs.go.inputs.wrod: the component has no such input; did you mean"):
        registry.run()


def test_a_registered_pipeline_component_is_taken_apart_with_the_registered_ones_in_it(registry: Workshop) -> None:
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
    ("address", "place"),
    [
        ("azureml:say:2", "say/2"),
        ("azureml:shout:1", "shout/1"),
        ("azureml:shout@latest", "shout/1"),
        ("azureml:shout", "shout/1"),
    ],
)
def test_one_that_is_not_there_is_refused_with_the_place_to_put_it(
    registry: Workshop, address: str, place: str
) -> None:
    registry.write("pipeline.yml", job(address))
    with pytest.raises(PipelineError) as problem:
        registry.run()
    (found,) = problem.value.problems
    assert (found.line, found.field, found.value) == (2, ("jobs", "go", "component"), address)
    assert f"{registry.home}/components/{place}/component.yml" in found.fix


@pytest.mark.parametrize("address", ["azureml:../x:1", "azureml:say@default", "azureml:say:1:2", "azureml://a/b"])
def test_what_is_no_address_of_a_component_runs_on_azure_only(registry: Workshop, address: str) -> None:
    registry.write("pipeline.yml", job(address))
    with pytest.raises(PipelineError, match="has no file of this registered component; name its file"):
        registry.run()


def test_without_a_registry_the_loader_knows_none(registry: Workshop) -> None:
    registry.write("pipeline.yml", job("azureml:say:1"))
    with pytest.raises(PipelineError, match="has no file of this registered component; name its file"):
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
    found = registered_in(tmp_path)("azureml:say@latest")
    assert found is not None
    assert found.parent.name == latest


@pytest.mark.parametrize("kind", ["spark", "automl", "import", "data_transfer", "if_else", "do_while"])
def test_a_kind_of_node_that_only_azure_runs_is_refused_with_those_that_run_here(shop: Workshop, kind: str) -> None:
    shop.write("pipeline.yml", f"jobs:\n  before: {{command: 'true'}}\n  go: {{type: {kind}}}\n")
    with pytest.raises(PipelineError) as problem:
        shop.run()
    (found,) = problem.value.problems
    assert (found.code, found.line, found.value) == ("unsupported_locally", 3, kind)
    assert found.field == ("jobs", "go", "type")
    assert "command" in found.fix
    assert not shop.folder.exists()


def test_a_component_of_a_kind_that_only_azure_runs_is_refused_by_that_kind(shop: Workshop) -> None:
    shop.write("part.yml", "type: spark\nname: count\n")
    shop.write("pipeline.yml", "jobs:\n  go:\n    component: ./part.yml\n")
    with pytest.raises(PipelineError) as error:
        shop.run()
    (problem,) = error.value.problems
    assert (problem.code, problem.line, problem.value) == ("unsupported_locally", 2, "spark")
