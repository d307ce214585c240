"""Pipeline components: their nodes run as nodes of the outer pipeline."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import PipelineError
from tests.engine.local.conftest import Project

OUTER = """
inputs:
  word: {type: uri_file, path: ./word.txt}
outputs:
  result: {type: uri_file}
jobs:
  make: {command: "cat ${{inputs.word}} > ${{outputs.out}}",
         inputs: {word: "${{parent.inputs.word}}"}, outputs: {out: {type: uri_file}}}
  both:
    type: pipeline
    component: ./both/pipeline.yml
    inputs: {word: "${{parent.jobs.make.outputs.out}}", times: 2}
    outputs: {twice: {type: uri_file, path: "${{parent.outputs.result}}"}}
  last: {command: "cat ${{inputs.word}} > ${{outputs.out}}",
         inputs: {word: {type: uri_file, path: "${{parent.jobs.both.outputs.twice}}"}},
         outputs: {out: {type: uri_file}}}
"""

INNER = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: both
inputs:
  word: {type: uri_file}
  mark: {type: string, default: "!"}
  times: {type: integer}
  extra: {type: uri_file, optional: true}
outputs:
  twice: {type: uri_file}
jobs:
  mark:
    command: (cat ${{inputs.word}}; echo "${{inputs.mark}}") > ${{outputs.out}}
    inputs: {word: "${{parent.inputs.word}}", mark: "${{parent.inputs.mark}}"}
    outputs: {out: {type: uri_file}}
  repeat:
    command: for i in $(seq ${{inputs.times}}); do cat ${{inputs.word}}; done > ${{outputs.out}}
    inputs: {word: "${{parent.jobs.mark.outputs.out}}", times: "${{parent.inputs.times}}"}
    outputs: {out: {type: uri_file, path: "${{parent.outputs.twice}}"}}
"""


@pytest.fixture
def nested(project: Project) -> Project:
    project.write("word.txt", "a\n")
    project.write("pipeline.yml", OUTER)
    project.write("both/pipeline.yml", INNER)
    return project


def test_data_flows_through_a_pipeline_component_and_out_of_the_pipeline(nested: Project) -> None:
    result = nested.run()
    result.check()
    assert list(result.nodes) == ["make", "both.mark", "both.repeat", "last"]
    assert nested.text("last") == nested.text("both.repeat") == "a\n!\n" * 2
    assert result.outputs["", "result"] == nested.folder / "both.repeat" / "out"


def test_a_value_of_the_job_replaces_the_default_of_the_component(nested: Project) -> None:
    nested.write("pipeline.yml", OUTER.replace("times: 2", 'times: 1, mark: "?"'))
    nested.run().check()
    assert nested.text("last") == "a\n?\n"


def test_inner_nodes_are_reused_one_by_one(nested: Project) -> None:
    nested.run().check()
    nested.write("pipeline.yml", OUTER.replace("times: 2", "times: 3"))
    assert nested.states() == {"make": "reused", "both.mark": "reused", "both.repeat": "completed", "last": "completed"}


def test_nodes_of_a_component_that_is_not_deterministic_always_run(nested: Project) -> None:
    nested.write("both/pipeline.yml", INNER.replace("name: both", "name: both\nis_deterministic: false"))
    nested.run().check()
    assert nested.explain()["both.mark"].reasons == ("is_deterministic: false",)


def test_pipeline_components_may_contain_pipeline_components(nested: Project) -> None:
    """A pipeline component that contains a pipeline component."""
    nested.write("deep/pipeline.yml", INNER.replace("name: both", "name: deep"))
    middle = """
type: pipeline
inputs: {word: {type: uri_file}, times: {type: integer}}
outputs: {twice: {type: uri_file}}
jobs:
  deep:
    type: pipeline
    component: ../deep/pipeline.yml
    inputs: {word: "${{parent.inputs.word}}", times: "${{parent.inputs.times}}"}
    outputs: {twice: "${{parent.outputs.twice}}"}
"""
    nested.write("both/pipeline.yml", middle)
    result = nested.run()
    result.check()
    assert list(result.nodes) == ["make", "both.deep.mark", "both.deep.repeat", "last"]
    assert nested.text("last") == "a\n!\n" * 2


def test_until_and_from_accept_a_pipeline_component(nested: Project) -> None:
    from azdistill.engine.local.selection import NodeSelection

    assert list(nested.run(selection=NodeSelection(until="both")).nodes) == ["make", "both.mark", "both.repeat"]
    assert nested.states(selection=NodeSelection(start="both")) == {
        "make": "reused", "both.mark": "completed", "both.repeat": "completed", "last": "completed",
    }  # fmt: skip


def test_a_problem_in_a_pipeline_component_has_its_own_file_and_line(nested: Project) -> None:
    nested.write("both/pipeline.yml", INNER.replace("parent.jobs.mark.outputs.out", "parent.jobs.mark.outputs.nothing"))
    with pytest.raises(PipelineError) as problem:
        nested.run()
    assert f"{Path('both/pipeline.yml')}:19: jobs.repeat.inputs.word" in str(problem.value)
