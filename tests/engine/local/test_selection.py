"""Selecting nodes with --until and --from, and running a single component."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError, PipelineError
from azdistill.engine.local.engine import run_pipeline
from azdistill.engine.local.selection import NodeSelection
from tests.engine.local.conftest import Project

DIAMOND = """
type: pipeline
jobs:
  first: {command: "echo $RANDOM$RANDOM > ${{outputs.out}}", outputs: {out: {type: uri_file}}}
  left:
    command: cat ${{inputs.x}} > ${{outputs.out}}
    inputs: {x: "${{parent.jobs.first.outputs.out}}"}
    outputs: {out: {type: uri_file}}
  right:
    command: cat ${{inputs.x}} ${{inputs.model}} > ${{outputs.out}}
    inputs: {x: "${{parent.jobs.first.outputs.out}}", model: "${{parent.inputs.model}}"}
    outputs: {out: {type: uri_file}}
  last:
    command: cat ${{inputs.l}} ${{inputs.r}} > ${{outputs.out}}
    inputs: {l: "${{parent.jobs.left.outputs.out}}", r: "${{parent.jobs.right.outputs.out}}"}
    outputs: {out: {type: uri_file}}
inputs:
  model: {type: uri_file, path: "azureml:model:1"}
"""


@pytest.fixture
def diamond(project: Project) -> Project:
    """first -> left and right -> last, where right reads a model that is not on this machine."""
    project.write("pipeline.yml", DIAMOND)
    return project


@pytest.fixture
def resolvable(diamond: Project) -> Project:
    """The same pipeline with a model on this machine."""
    model = diamond.write("model.txt", "model\n")
    diamond.write("pipeline.yml", DIAMOND.replace("azureml:model:1", str(model)))
    return diamond


def test_until_runs_a_node_and_its_dependencies_and_checks_no_other_input(diamond: Project) -> None:
    assert diamond.states(selection=NodeSelection(until="left")) == {"first": "completed", "left": "completed"}
    assert not (diamond.folder / "right").exists()
    with pytest.raises(PipelineError, match="'azureml:model:1': this machine has no copy of it"):
        diamond.run()


def test_a_complete_run_continues_after_a_partial_one(resolvable: Project) -> None:
    resolvable.run(selection=NodeSelection(until="left"))
    assert resolvable.states() == {"first": "reused", "left": "reused", "right": "completed", "last": "completed"}


def test_from_runs_a_node_and_its_dependents_again(resolvable: Project) -> None:
    resolvable.run()
    assert resolvable.states(selection=NodeSelection(start="right")) == {
        "first": "reused",
        "left": "reused",
        "right": "completed",
        "last": "completed",
    }
    first = resolvable.text("first")
    assert resolvable.states(selection=NodeSelection(start="first")) == dict.fromkeys(
        ("first", "left", "right", "last"), "completed"
    )
    assert resolvable.text("first") != first


def test_until_and_from_can_be_combined(resolvable: Project) -> None:
    resolvable.run()
    assert resolvable.states(selection=NodeSelection(until="left", start="left")) == {
        "first": "reused",
        "left": "completed",
    }


def test_from_requires_reusable_dependencies(resolvable: Project) -> None:
    with pytest.raises(InputError) as problem:
        resolvable.run(selection=NodeSelection(start="last"))
    assert str(problem.value) == (
        "--from 'last': it depends on first, which cannot be reused (it has not run in this folder); "
        "remove --from, or set --from first"
    )
    assert not (resolvable.folder / "first").exists()


@pytest.mark.parametrize(
    ("selection", "subject", "fix"),
    [
        (NodeSelection(until="lift"), "--until 'lift'", "did you mean 'left'?"),
        (NodeSelection(start="xyz"), "--from 'xyz'", "it has first, last, left, right"),
        (NodeSelection(until="left", start="right"), "--from 'right'", "it has first, left"),
    ],
)
def test_an_unknown_node_is_refused(resolvable: Project, selection: NodeSelection, subject: str, fix: str) -> None:
    with pytest.raises(InputError) as error:
        resolvable.run(selection=selection)
    (problem,) = error.value.problems
    assert (problem.subject, problem.message, problem.fix) == (subject, "no such node is selected", fix)


COMPONENT = """
type: command
name: Word Count
inputs:
  text: {type: uri_file}
  least: {type: integer, min: 1}
  word: {type: string, default: a}
  note: {type: string, optional: true}
outputs: {count: {type: uri_file}}
environment: azureml:any:1
code: ./code
command: sh count.sh ${{inputs.text}} ${{inputs.word}} $[[--note ${{inputs.note}}]] > ${{outputs.count}}
"""


@pytest.fixture
def component(project: Project) -> Path:
    project.write("count/code/count.sh", 'grep -c "$2" "$1"; echo "$@" | grep -o "note .*" || true\n')
    return project.write("count/component.yml", COMPONENT)


def test_a_component_runs_alone_with_its_inputs_set(project: Project, component: Path) -> None:
    text = project.write("text.txt", "a\nb\na\n")
    inputs = {"text": str(text), "least": "2"}
    result = run_pipeline(component, project.folder, inputs=inputs, home=project.home)
    assert {name: node.state for name, node in result.nodes.items()} == {"word_count": "completed"}
    assert project.text("word_count", "count") == "2\n"
    run_pipeline(component, project.folder, inputs={**inputs, "word": "b", "note": "hello"}, home=project.home)
    assert project.text("word_count", "count") == "1\nnote hello\n"


def test_all_missing_inputs_of_a_component_are_reported_together(project: Project, component: Path) -> None:
    with pytest.raises(PipelineError) as problem:
        run_pipeline(component, project.folder, home=project.home)
    assert [line.split(": ")[0].rpartition("/")[2] for line in str(problem.value).splitlines()] == [
        "component.yml:5",
        "component.yml:6",
    ]
    assert "--set inputs.text=VALUE" in str(problem.value)
    assert "--set inputs.least=VALUE" in str(problem.value)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [({"least": "0"}, "must be at least 1"), ({"lest": "1"}, "did you mean 'least'?"), ({"text": "gone"}, "'gone'")],
)
def test_a_wrong_input_of_a_component_is_reported(
    project: Project, component: Path, inputs: dict[str, str], message: str
) -> None:
    values = {"text": str(component), "least": "1"} | inputs
    with pytest.raises(PipelineError, match=message.replace("?", r"\?")):
        run_pipeline(component, project.folder, inputs=values, home=project.home)
