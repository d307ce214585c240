"""`--set inputs.NAME=VALUE`: text is converted to the type of the pipeline input."""

import pytest

from azdistill.contracts.errors import PipelineError
from tests.engine.local.conftest import Project

PIPELINE = """
inputs:
  rows: {type: uri_file, path: ./rows.txt}
  seed: 1
  rate: 0.5
  deep: false
  name: a
  size: {type: integer, min: 1, max: 9, default: 3}
  mode: {type: string, enum: [fast, slow], default: fast}
  need: {type: integer}
jobs:
  show:
    command: >-
      echo $(cat ${{inputs.rows}}) ${{inputs.seed}} ${{inputs.rate}} ${{inputs.deep}} ${{inputs.name}} ${{inputs.size}}
      ${{inputs.mode}} ${{inputs.need}} > ${{outputs.out}}
    inputs:
      rows: ${{parent.inputs.rows}}
      seed: ${{parent.inputs.seed}}
      rate: ${{parent.inputs.rate}}
      deep: ${{parent.inputs.deep}}
      name: ${{parent.inputs.name}}
      size: ${{parent.inputs.size}}
      mode: ${{parent.inputs.mode}}
      need: ${{parent.inputs.need}}
    outputs: {out: {type: uri_file}}
"""


@pytest.fixture
def typed(project: Project) -> Project:
    project.write("pipeline.yml", PIPELINE)
    project.write("rows.txt", "rows\n")
    return project


def test_text_is_converted_to_the_type_of_the_input(typed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.write("here/other.txt", "other\n")
    monkeypatch.chdir(typed.root / "here")
    typed.run(
        inputs={
            "rows": "other.txt", "seed": "-2", "rate": "1", "deep": "true", "name": "no", "size": "9", "mode": "slow",
            "need": "7",
        }
    ).check()  # fmt: skip
    assert typed.text("show") == "other -2 1 True no 9 slow 7\n"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("seed", "x", "must be an integer"),
        ("seed", "1.5", "must be an integer"),
        ("seed", "true", "must be an integer"),
        ("seed", "[1", "must be an integer"),
        ("seed", "", "must be an integer"),
        ("rate", "much", "must be a number"),
        ("deep", "1", "must be true or false"),
        ("sede", "1", "the pipeline has no such input"),
    ],
)
def test_text_of_another_type_is_refused(typed: Project, name: str, text: str, expected: str) -> None:
    with pytest.raises(PipelineError) as error:
        typed.run(inputs={"need": "1", name: text})
    (problem,) = error.value.problems
    assert (problem.subject, problem.field, problem.value) == ("--set", ("inputs", name), text)
    assert problem.message == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("size", "10", "must be at most 9"), ("size", "0", "must be at least 1"), ("mode", "fats", "one of fast, slow")],
)
def test_limits_of_a_component_hold(project: Project, name: str, text: str, expected: str) -> None:
    """An input of a pipeline job has none: Azure ML reads its value only."""
    project.write(
        "pipeline.yml",
        """
type: command
name: show
inputs:
  size: {type: integer, min: 1, max: 9, default: 3}
  mode: {type: string, enum: [fast, slow], default: fast}
command: echo ${{inputs.size}} ${{inputs.mode}}
""",
    )
    with pytest.raises(PipelineError, match=expected):
        project.run(inputs={name: text})


def test_a_similar_name_is_suggested(typed: Project) -> None:
    with pytest.raises(PipelineError) as error:
        typed.run(inputs={"need": "1", "sede": "1"})
    assert error.value.problems[0].fix == "did you mean 'seed'?"


def test_an_input_without_a_value_must_be_set(typed: Project) -> None:
    with pytest.raises(PipelineError) as error:
        typed.run()
    (problem,) = error.value.problems
    assert (problem.code, problem.line, problem.field) == ("missing_value", 10, ("inputs", "need"))
    assert problem.fix == "set it with --set inputs.need=VALUE"


def test_a_missing_path_is_refused_before_anything_runs(typed: Project) -> None:
    with pytest.raises(PipelineError, match=r"pipeline.yml:3: inputs.rows='nowhere.txt': no such file or folder"):
        typed.run(inputs={"need": "1", "rows": "nowhere.txt"})
    assert not typed.folder.exists()


def test_a_value_that_azure_fills_in_must_be_set(project: Project) -> None:
    project.write("pipeline.yml", """
inputs: {at: "${{creation_context.trigger_time}}"}
jobs:
  show: {command: "echo ${{inputs.at}}", inputs: {at: "${{parent.inputs.at}}"}}
""")  # fmt: skip
    with pytest.raises(PipelineError, match=r"inputs.at='\$\{\{creation_context.*--set inputs.at=VALUE"):
        project.run()
    assert project.states(inputs={"at": "2026-11-24"}) == {"show": "completed"}


def test_text_around_inputs_has_their_values_also_in_a_component(project: Project) -> None:
    project.write(
        "inner.yml",
        """
type: pipeline
name: inner
inputs: {word: {type: string}}
outputs: {out: {type: uri_file}}
jobs:
  show:
    command: echo '${{inputs.text}}' > ${{outputs.out}}
    inputs: {text: "<${{parent.inputs.word}}>"}
    outputs: {out: "${{parent.outputs.out}}"}
""",
    )
    project.write("pipeline.yml", """
inputs: {first: a, second: 2}
jobs:
  outer:
    type: pipeline
    component: ./inner.yml
    inputs: {word: "${{parent.inputs.first}},${{parent.inputs.second}}!"}
""")  # fmt: skip
    project.run(inputs={"second": "3"}).check()
    assert project.text("outer.show") == "<a,3!>\n"
