"""A part of a pipeline: up to a node, from a node on; and one component alone."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError, PipelineError
from azdistill.engine.local.engine import run_pipeline
from azdistill.engine.local.selection import NodeSelection
from tests.engine.local.conftest import Workshop

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
def diamond(shop: Workshop) -> Workshop:
    """first -> left and right -> last, where right reads what is not on this machine."""
    shop.write("pipeline.yml", DIAMOND)
    return shop


@pytest.fixture
def here(diamond: Workshop) -> Workshop:
    """The same with all it reads."""
    model = diamond.write("model.txt", "model\n")
    diamond.write("pipeline.yml", DIAMOND.replace("azureml:model:1", str(model)))
    return diamond


def test_until_runs_a_node_and_what_it_needs_and_asks_for_nothing_else(diamond: Workshop) -> None:
    assert diamond.states(selection=NodeSelection(until="left")) == {"first": "completed", "left": "completed"}
    assert not (diamond.folder / "right").exists()
    with pytest.raises(PipelineError, match="'azureml:model:1': this machine has no copy of it"):
        diamond.run()


def test_the_whole_run_goes_on_where_the_part_ended(here: Workshop) -> None:
    here.run(selection=NodeSelection(until="left"))
    assert here.states() == {"first": "reused", "left": "reused", "right": "completed", "last": "completed"}


def test_from_runs_a_node_again_and_all_after_it(here: Workshop) -> None:
    here.run()
    assert here.states(selection=NodeSelection(start="right")) == {
        "first": "reused",
        "left": "reused",
        "right": "completed",
        "last": "completed",
    }
    first = here.text("first")
    assert here.states(selection=NodeSelection(start="first")) == dict.fromkeys(
        ("first", "left", "right", "last"), "completed"
    )
    assert here.text("first") != first


def test_both_bounds_go_together(here: Workshop) -> None:
    here.run()
    assert here.states(selection=NodeSelection(until="left", start="left")) == {"first": "reused", "left": "completed"}


def test_what_comes_before_has_to_be_there(here: Workshop) -> None:
    with pytest.raises(InputError) as problem:
        here.run(selection=NodeSelection(start="last"))
    assert str(problem.value) == (
        "--from 'last': it depends on first, which cannot be reused (it has not run in this folder); "
        "leave --from out, or set --from first"
    )
    assert not (here.folder / "first").exists()


@pytest.mark.parametrize(
    ("selection", "subject", "fix"),
    [
        (NodeSelection(until="lift"), "--until 'lift'", "did you mean 'left'?"),
        (NodeSelection(start="xyz"), "--from 'xyz'", "it has first, last, left, right"),
        (NodeSelection(until="left", start="right"), "--from 'right'", "it has first, left"),
    ],
)
def test_an_unknown_node_is_refused(here: Workshop, selection: NodeSelection, subject: str, fix: str) -> None:
    with pytest.raises(InputError) as error:
        here.run(selection=selection)
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
def component(shop: Workshop) -> Path:
    shop.write("count/code/count.sh", 'grep -c "$2" "$1"; echo "$@" | grep -o "note .*" || true\n')
    return shop.write("count/component.yml", COMPONENT)


def test_a_component_runs_alone_with_its_inputs_set(shop: Workshop, component: Path) -> None:
    text = shop.write("text.txt", "a\nb\na\n")
    inputs = {"text": str(text), "least": "2"}
    result = run_pipeline(component, shop.folder, inputs=inputs, home=shop.home)
    assert {name: node.state for name, node in result.nodes.items()} == {"word_count": "completed"}
    assert shop.text("word_count", "count") == "2\n"
    run_pipeline(component, shop.folder, inputs={**inputs, "word": "b", "note": "hello"}, home=shop.home)
    assert shop.text("word_count", "count") == "1\nnote hello\n"


def test_all_inputs_that_a_component_still_needs_are_told_at_once(shop: Workshop, component: Path) -> None:
    with pytest.raises(PipelineError) as problem:
        run_pipeline(component, shop.folder, home=shop.home)
    assert [line.split(": ")[0].rpartition("/")[2] for line in str(problem.value).splitlines()] == [
        "component.yml:5",
        "component.yml:6",
    ]
    assert "--set inputs.text=VALUE" in str(problem.value)
    assert "--set inputs.least=VALUE" in str(problem.value)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [({"least": "0"}, "must be at least 1"), ({"lest": "1"}, "did you mean 'least'?"), ({"text": "gone"}, "'gone'")],
)
def test_a_wrong_input_of_a_component_is_told(
    shop: Workshop, component: Path, inputs: dict[str, str], said: str
) -> None:
    given = {"text": str(component), "least": "1"} | inputs
    with pytest.raises(PipelineError, match=said.replace("?", r"\?")):
        run_pipeline(component, shop.folder, inputs=given, home=shop.home)
