"""`--set inputs.NAME=VALUE`: text with the type that the pipeline gives it."""

import pytest

from azdistill.contracts.errors import PipelineError
from tests.engine.local.conftest import Workshop

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
def typed(shop: Workshop) -> Workshop:
    shop.write("pipeline.yml", PIPELINE)
    shop.write("rows.txt", "rows\n")
    return shop


def test_text_gets_the_type_of_the_input(typed: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("seed", "x", "--set inputs.seed='x': must be an integer"),
        ("seed", "1.5", "--set inputs.seed='1.5': must be an integer"),
        ("seed", "true", "--set inputs.seed='true': must be an integer"),
        ("seed", "[1", "--set inputs.seed='[1': must be an integer"),
        ("seed", "", "--set inputs.seed='': must be an integer"),
        ("rate", "much", "--set inputs.rate='much': must be a number"),
        ("deep", "1", "--set inputs.deep='1': must be true or false"),
        ("size", "10", "--set inputs.size='10': must be at most 9"),
        ("size", "0", "--set inputs.size='0': must be at least 1"),
        ("mode", "fats", "--set inputs.mode='fats': must be one of fast, slow"),
        ("sede", "1", "--set inputs.sede='1': the pipeline has no such input; did you mean 'seed'?"),
    ],
)
def test_text_of_another_type_is_refused(typed: Workshop, name: str, text: str, expected: str) -> None:
    with pytest.raises(PipelineError) as problem:
        typed.run(inputs={"need": "1", name: text})
    assert str(problem.value) == expected


def test_an_input_without_a_value_has_to_be_set(typed: Workshop) -> None:
    with pytest.raises(
        PipelineError, match=r"pipeline.yml:10: inputs.need: .* requires a value; set it with --set inputs.need=VALUE"
    ):
        typed.run()


def test_a_path_that_is_not_there_is_refused_before_anything_runs(typed: Workshop) -> None:
    with pytest.raises(PipelineError, match=r"pipeline.yml:3: inputs.rows='nowhere.txt': no such file or folder"):
        typed.run(inputs={"need": "1", "rows": "nowhere.txt"})
    assert not typed.folder.exists()


def test_a_value_that_azure_fills_in_has_to_be_set(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
inputs: {at: "${{creation_context.trigger_time}}"}
jobs:
  show: {command: "echo ${{inputs.at}}", inputs: {at: "${{parent.inputs.at}}"}}
""")  # fmt: skip
    with pytest.raises(PipelineError, match=r"inputs.at='\$\{\{creation_context.*--set inputs.at=VALUE"):
        shop.run()
    assert shop.states(inputs={"at": "2026-11-24"}) == {"show": "completed"}
