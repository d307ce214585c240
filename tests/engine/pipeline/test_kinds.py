"""Kinds of Azure ML's files."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.pipeline.kinds import OtherKind, kind_of

SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
SDK_SCHEMAS = "http://azureml/sdk-2-0"
DECLARED = {"command": "ls", "inputs": {"rows": {"type": "uri_folder", "optional": True}}}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "pipeline"}, "pipeline"),
        ({"jobs": {}}, "pipeline"),
        ({"type": "command", "jobs": {}}, "pipeline"),
        ({"$schema": f"{SCHEMAS}/pipelineComponent.schema.json", "type": "pipeline"}, "pipeline component"),
        ({"$schema": f"{SCHEMAS}/commandComponent.schema.json", "command": "ls", "compute": "c"}, "component"),
        ({"$schema": f"{SCHEMAS}/commandJob.schema.json", **DECLARED}, "command job"),
        ({"$schema": f"{SDK_SCHEMAS}/PipelineJob.json", "jobs": {}}, "pipeline"),
        ({"$schema": f"{SDK_SCHEMAS}/ParallelComponent.json", "type": "parallel"}, "component"),
        ({"type": "command", **DECLARED}, "component"),
        ({"command": "ls", "name": "list"}, "component"),
        ({"command": "ls"}, "command job"),
        ({"command": "ls", "compute": "azureml:c", "version": "1"}, "command job"),
        ({"command": "ls", "inputs": {"rows": {"type": "uri_folder", "path": "rows"}}}, "command job"),
        ({"command": "ls", "inputs": {"n": 3}, "is_deterministic": True}, "component"),
        ({"type": "sweep"}, "sweep job"),
        ({"type": "parallel", "task": {}}, "component"),
        ({"task": {"type": "run_function"}}, "component"),
    ],
)
def test_a_file_that_runs_here_is_recognised(fields: dict[str, Any], kind: str) -> None:
    assert kind_of(fields) == kind


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"type": "automl", "task": "regression"}, "az ml job create"),
        ({"type": "spark", "jobs": None}, "az ml job create"),
        ({"$schema": f"{SCHEMAS}/schedule.schema.json", "create_job": {"type": "pipeline"}}, "az ml schedule create"),
        ({"name": "weekly", "create_job": "./job.yml"}, "az ml schedule create"),
        ({"$schema": f"{SCHEMAS}/modelBatchDeployment.schema.json", "type": "model"}, "az ml batch-deployment create"),
        ({"$schema": f"{SCHEMAS}/batchDeployment.schema.json", "type": "pipeline"}, "az ml batch-deployment create"),
        ({"name": "e", "auth_mode": "key"}, "az ml online-endpoint create"),
        ({"name": "blue", "endpoint_name": "e"}, "az ml online-deployment create"),
        ({"name": "e", "image": "ubuntu"}, "az ml environment create"),
        ({"name": "d", "type": "uri_file", "path": "rows.csv"}, "az ml data create"),
        ({"name": "c", "type": "amlcompute"}, "az ml compute create"),
        ({"$schema": f"{SCHEMAS}/workspaceConnection.schema.json", "type": "git"}, "az ml connection create"),
        ({"$schema": f"{SDK_SCHEMAS}/AutoMLComponent.json", "type": "automl"}, "az ml component create"),
        ({"$schema": f"{SDK_SCHEMAS}/BatchDeployment.json", "type": "pipeline"}, "az ml batch-deployment create"),
        ({"$schema": f"{SDK_SCHEMAS}/DataImport.json", "type": "uri_folder"}, "az ml data import"),
        ({"$schema": f"{SDK_SCHEMAS}/Featureset.json", "name": "f"}, "az ml feature-set create"),
        ({"type": "spark", "name": "count", "version": "1"}, "az ml component create"),
        ({"type": "data_transfer", "compute": "azureml:c", "version": "1"}, "az ml job create"),
        ({"name": "weekly", "import_data": "./data.yml"}, "az ml schedule create"),
        ({"$schema": f"{SDK_SCHEMAS}/FeatureSetSpec.json", "source": {}}, ""),
        ({"$schema": f"{SCHEMAS}/Flow.schema.json", "nodes": []}, ""),
        ({"$schema": f"{SCHEMAS}/evaluator.schema.json", "name": "e"}, ""),
    ],
)  # fmt: skip
def test_a_file_that_only_azure_ml_reads_has_its_command(fields: dict[str, Any], command: str) -> None:
    kind = kind_of(fields)
    assert isinstance(kind, OtherKind)
    assert kind.command == command


@pytest.mark.parametrize(
    "fields", [{}, {"task": "nli"}, {"name": "support", "teacher": {}}, {"type": "distillation", "jobs": 1}]
)
def test_a_distillation_job_has_no_other_kind(fields: dict[str, Any]) -> None:
    assert kind_of(fields) is None


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ("command: ls\nenviroment_variables: {}\nenvironment: azureml:e:1", "unknown_field", "enviroment_variables"),
        ("command: ls\nenvironment: azureml:e:1\ninputs: {n: '${{parent.inputs.n}}'}", "invalid_reference", "inputs.n"),
        ("command: ls ${{inputs.n}}\nenvironment: azureml:e:1\ncompute: c", "undeclared_port", "command"),
        ("type: sweep\ntrial: {comand: ls}", "unknown_field", "trial.comand"),
        ("type: sweep\ntrial: {command: 'ls ${{search_space.n}}'}", "undeclared_port", "trial.command"),
        ("type: sweep\nsearch_space: {n: 1}\ninputs: {n: 1}", "duplicate_value", "search_space.n"),
    ],
)  # fmt: skip
def test_a_wrong_job_outside_a_pipeline_gives_its_problem(tmp_path: Path, text: str, code: str, field: str) -> None:
    path = tmp_path / "job.yml"
    path.write_text(text)
    assert (code, field) in [(problem.code, ".".join(map(str, problem.field))) for problem in validate_file(path)]


@pytest.mark.parametrize(
    ("brackets", "problems"), [("$[[{}]]", []), ("[{}]", ["plain_brackets", "optional_for_required"])]
)
def test_a_component_that_needs_an_optional_input_is_named(tmp_path: Path, brackets: str, problems: list[str]) -> None:
    path = tmp_path / "component.yml"
    command = f"ls {brackets.format('--n ${{inputs.n}}')}"
    inputs = "inputs: {n: {type: integer, optional: true}}"
    path.write_text(f"name: list\ncommand: {command}\nenvironment: azureml:e:1\n{inputs}\n")
    assert [problem.code for problem in validate_file(path) if problem.severity == "warning"] == problems


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (">-\n  python train.py\n    --rows 3\n    --seed 1", "--rows 3"),
        ("|\n  python train.py\n  -n 3", "-n 3"),
        (">-\n  python train.py\n  --rows 3", None),
        ("|\n  python train.py \\\n    --rows 3", None),
        ("|\n  sh -c 'python train.py\n  --rows 3'", None),
        ("|\n  python - <<EOF\n  -1\n  EOF", None),
        ("|\n  cat rows |\n  -n", None),
    ],
)
def test_a_line_of_options_is_a_warning(tmp_path: Path, command: str, line: str | None) -> None:
    """Each line of a command is one of its own: https://github.com/Azure/azureml-examples/issues/1991."""
    path = tmp_path / "job.yml"
    path.write_text(f"environment: azureml:e:1\ncompute: azureml:c\ncommand: {command}\n")
    warnings = [problem for problem in validate_file(path) if problem.code == "line_of_options"]
    assert [f"its line {line!r} is a command" in warning.message for warning in warnings] == [True] * (line is not None)
