"""Names of inputs and outputs that differ only by case: the client validates each component when it creates it."""

from pathlib import Path

import pytest
from azure.ai.ml import load_job

from azdistill.engine.pipeline.checks import validate_file

PIPELINE = """
type: pipeline
settings: {default_compute: serverless}
inputs: {a: 1, A: 2}
jobs:
  say: {type: command, command: echo, environment: azureml:e:1, PORTS}
"""
FILE = "{type: uri_file}"


@pytest.mark.parametrize(
    "ports",
    [
        "inputs: {a: 1, A: 2}",
        f"outputs: {{a: {FILE}, A: {FILE}}}",
        f"inputs: {{a: 1}}, outputs: {{A: {FILE}}}",
        f"inputs: {{a: 1}}, outputs: {{a: {FILE}}}",
    ],
)
def test_names_of_ports_that_differ_only_by_case_are_refused_as_by_the_client(ports: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yml"
    path.write_text(PIPELINE.replace("PORTS", ports))
    component = load_job(path).jobs["say"].component
    refused = [problem for problem in validate_file(path) if problem.severity == "error"]
    assert bool(refused) == bool(component._validate().error_messages)
    assert {(problem.code, problem.refused_by) for problem in refused} <= {("similar_names", ("client",))}
