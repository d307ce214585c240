"""Values that Azure's client reads otherwise than a person."""

from tests.engine.pipeline.conftest import PipelineFolder

COMPONENT = """
type: command
name: count
command: echo ${{inputs.word}} ${{inputs.deep}} ${{inputs.rate}}
environment: azureml:e:1
is_deterministic: no
inputs:
  word: {type: string, default: off}
  deep: {type: boolean, default: yes}
  rate: {type: number}
"""
PIPELINE = """
type: pipeline
settings: {default_compute: azureml:c, force_rerun: on}
description: 2024-01-31
inputs: {deep: yes}
jobs:
  first:
    component: ./count.yml
    inputs: {word: no, deep: "${{parent.inputs.deep}}", rate: 012}
  second:
    component: ./count.yml
    inputs: {word: "no", deep: off, rate: 1e5}
"""


def test_each_is_a_warning_where_it_is_no_boolean(files: PipelineFolder) -> None:
    (files.root / "count.yml").write_text(COMPONENT)
    files.pipeline.write_text(PIPELINE)
    assert [(problem.code, problem.severity, problem.line, problem.value) for problem in files.problems()] == [
        ("yaml_1_1", "error", 4, "2024-01-31"),
        ("yaml_1_1", "warning", 9, "012"),
        ("yaml_1_1", "warning", 9, "no"),
        ("unquoted_text", "warning", 9, False),
        ("yaml_1_1", "warning", 8, "off"),
    ]
