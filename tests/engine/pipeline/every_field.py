"""A valid file for each schema of Azure's client, with every field that its schema has and a file may have."""

from typing import Any, NamedTuple

import yaml
from azure.ai.ml._schema._sweep import SweepJobSchema
from azure.ai.ml._schema.component.command_component import CommandComponentSchema
from azure.ai.ml._schema.component.parallel_component import ParallelComponentSchema
from azure.ai.ml._schema.job.command_job import CommandJobSchema
from azure.ai.ml._schema.pipeline.component_job import CommandSchema, ParallelSchema, SweepSchema
from azure.ai.ml._schema.pipeline.pipeline_command_job import PipelineCommandJobSchema
from azure.ai.ml._schema.pipeline.pipeline_component import PipelineComponentSchema
from azure.ai.ml._schema.pipeline.pipeline_job import PipelineJobSchema
from azure.ai.ml._schema.pipeline.pipeline_parallel_job import PipelineParallelJobSchema

from azdistill.engine.problems import FieldPath

ENVIRONMENT = "azureml:small:1"
_RESOURCES = """
  instance_count: 1
  instance_type: Standard_DS3_v2
  max_instance_count: 2
  shm_size: 2g
  docker_args: --ipc=host
  locations: [westeurope]
  properties: {a: {b: c}}
"""
_COMMAND_SETTINGS = f"""
code: ./src
environment_variables: {{LEVEL: "1"}}
resources: {_RESOURCES}
distribution: {{type: pytorch, process_count_per_instance: 1}}
queue_settings: {{job_tier: spot, priority: low}}
"""
_JOB = """
name: first
display_name: First
description: It has every field.
experiment_name: fields
tags: {owner: me}
properties: {a: b}
services: {board: {type: tensor_board, log_dir: logs, port: 6006}}
identity: {type: user_identity}
compute: azureml:cpu
"""
_COMPONENT = """
name: first
version: 1
display_name: First
description: It has every field.
tags: {owner: me}
is_deterministic: true
inputs:
  rows: {type: uri_folder, optional: true, description: rows, mode: ro_mount}
  n: {type: integer, default: 2, min: 1, max: 9, description: a number}
  mode: {type: string, default: a, enum: [a, b], optional: true}
outputs:
  out: {type: uri_folder, description: a folder, mode: upload}
"""
_INPUTS = """
  rows: {type: uri_folder, path: ./rows, mode: ro_mount}
  n: 3
"""
_OUTPUTS = """
  out: {type: uri_folder, mode: upload, path: "azureml://datastores/blob/paths/${{name}}", name: rows, version: "1"}
"""
_COMMAND = "ls ${{inputs.rows}} ${{inputs.n}} > ${{outputs.out}}/n"
_BATCHES = f"""
logging_level: INFO
mini_batch_size: "2"
partition_keys: [day]
input_data: ${{{{inputs.rows}}}}
resources: {_RESOURCES}
retry_settings: {{max_retries: 1, timeout: 60}}
max_concurrency_per_instance: 2
error_threshold: 1
mini_batch_error_threshold: 1
"""
_PARALLEL = f"""
{_BATCHES}
task:
  type: run_function
  code: ./src
  entry_script: score.py
  program_arguments: --n ${{{{inputs.n}}}}
  append_row_to: ${{{{outputs.rows}}}}
  environment: {ENVIRONMENT}
"""
_SWEEP = """
sampling_algorithm: {type: random, seed: 1, rule: sobol}
search_space:
  n: {type: choice, values: [1, 2]}
objective: {goal: minimize, primary_metric: loss}
early_termination: {type: bandit, slack_factor: 0.1, evaluation_interval: 2, delay_evaluation: 2}
limits: {max_total_trials: 4, max_concurrent_trials: 2, timeout: 60, trial_timeout: 30}
queue_settings: {job_tier: spot, priority: low}
"""
_ENVIRONMENT = """
  name: small
  description: small
  image: ubuntu
  conda_file: ./conda.yml
  tags: {a: b}
  version: "1"
  os_type: linux
"""


class Example(NamedTuple):
    """A valid file, and the field of it that the schema describes; () for the file itself."""

    schema: Any
    text: str
    field: FieldPath = ()
    name: str = "pipeline.yml"


def _node(text: str) -> str:
    """A pipeline with one job."""
    indented = "".join(f"    {line}\n" for line in text.splitlines() if line)
    return f"type: pipeline\nsettings: {{default_compute: azureml:cpu}}\njobs:\n  job:\n{indented}"


EXAMPLES: dict[str, Example] = {
    "pipeline job": Example(
        PipelineJobSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
{_JOB}
settings:
  default_compute: azureml:cpu
  default_datastore: azureml:blob
  continue_on_step_failure: false
  force_rerun: false
inputs: {_INPUTS}
outputs: {_OUTPUTS}
jobs:
  say:
    type: command
    command: ls ${{{{inputs.rows}}}} ${{{{inputs.n}}}} > ${{{{outputs.out}}}}/n
    environment: {ENVIRONMENT}
    inputs: {{rows: "${{{{parent.inputs.rows}}}}", n: "${{{{parent.inputs.n}}}}"}}
    outputs: {{out: "${{{{parent.outputs.out}}}}"}}
""",
    ),
    "pipeline component": Example(
        PipelineComponentSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
{_COMPONENT}
jobs:
  say:
    type: command
    component: ./command.yml
    inputs: {{rows: "${{{{parent.inputs.rows}}}}", n: "${{{{parent.inputs.n}}}}"}}
    outputs: {{out: "${{{{parent.outputs.out}}}}"}}
""",
        name="component.yml",
    ),
    "command job of a pipeline": Example(
        PipelineCommandJobSchema,
        _node(
            f"""
type: command
{_JOB}
command: {_COMMAND}
environment: {_ENVIRONMENT}
{_COMMAND_SETTINGS}
limits: {{timeout: 60}}
inputs: {_INPUTS}
outputs: {_OUTPUTS}
"""
        ),
        ("jobs", "job"),
    ),
    "command job with a component": Example(
        CommandSchema,
        _node(
            f"""
type: command
component: ./command.yml
comment: first
compute: azureml:cpu
properties: {{a: b}}
services: {{board: {{type: tensor_board, log_dir: logs, port: 6006}}}}
identity: {{type: user_identity}}
environment: {ENVIRONMENT}
{_COMMAND_SETTINGS}
limits: {{timeout: 60}}
inputs: {_INPUTS}
outputs: {_OUTPUTS}
"""
        ),
        ("jobs", "job"),
    ),
    "sweep job of a pipeline": Example(
        SweepSchema,
        _node(
            f"""
type: sweep
trial: ./command.yml
comment: first
compute: azureml:cpu
properties: {{a: b}}
{_SWEEP}
resources: {_RESOURCES}
inputs: {{rows: {{type: uri_folder, path: ./rows}}}}
outputs: {_OUTPUTS}
"""
        ),
        ("jobs", "job"),
    ),
    "parallel job of a pipeline": Example(
        PipelineParallelJobSchema,
        _node(
            f"""
type: parallel
compute: azureml:cpu
properties: {{a: b}}
environment_variables: {{LEVEL: "1"}}
{_PARALLEL}
inputs: {_INPUTS}
outputs: {{rows: {{type: uri_file}}}}
"""
        ),
        ("jobs", "job"),
    ),
    "parallel job with a component": Example(
        ParallelSchema,
        _node(
            f"""
type: parallel
component: ./parallel.yml
comment: first
compute: azureml:cpu
properties: {{a: b}}
identity: {{type: user_identity}}
environment_variables: {{LEVEL: "1"}}
{_BATCHES}
inputs: {_INPUTS}
outputs: {{rows: {{type: uri_file}}}}
"""
        ),
        ("jobs", "job"),
    ),
    "command component": Example(
        CommandComponentSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
{_COMPONENT}
properties: {{a: b}}
command: echo $[[${{{{inputs.rows}}}}]] ${{{{inputs.n}}}} > ${{{{outputs.out}}}}/n
environment: {_ENVIRONMENT}
code: ./src
resources: {_RESOURCES}
distribution: {{type: pytorch, process_count_per_instance: 1}}
additional_includes: [./rows]
""",
        name="component.yml",
    ),
    "parallel component": Example(
        ParallelComponentSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/parallelComponent.schema.json
type: parallel
name: first
version: 1
display_name: First
description: It has every field.
tags: {{owner: me}}
is_deterministic: true
inputs:
  rows: {{type: uri_folder, optional: false, description: rows, mode: ro_mount}}
  n: {{type: integer, default: 2, min: 1, max: 9, description: a number}}
outputs:
  rows: {{type: uri_file, description: all rows, mode: upload}}
{_PARALLEL}
""",
        name="component.yml",
    ),
    "command job": Example(
        CommandJobSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
type: command
{_JOB}
parent_job_name: outer
command: {_COMMAND}
environment: {_ENVIRONMENT}
{_COMMAND_SETTINGS}
limits: {{timeout: 60}}
inputs: {_INPUTS}
outputs: {_OUTPUTS}
""",
        name="job.yml",
    ),
    "sweep job": Example(
        SweepJobSchema,
        f"""
$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json
type: sweep
{_JOB}
trial:
  command: ls ${{{{inputs.rows}}}} ${{{{search_space.n}}}} > ${{{{outputs.out}}}}/n
  environment: {ENVIRONMENT}
  code: ./src
  environment_variables: {{LEVEL: "1"}}
  resources: {{shm_size: 2g}}
  distribution: {{type: pytorch, process_count_per_instance: 1}}
{_SWEEP}
resources: {_RESOURCES}
inputs: {{rows: {{type: uri_folder, path: ./rows}}}}
outputs: {_OUTPUTS}
""",
        name="job.yml",
    ),
}

# Files that the examples name.
FILES = {
    "conda.yml": "dependencies: [python]\n",
    "rows/a.csv": "a\n",
    "src/score.py": "",
    "command.yml": f"type: command\n{_COMPONENT}\nenvironment: {ENVIRONMENT}\n"
    "command: echo $[[${{inputs.rows}}]] ${{inputs.n}} > ${{outputs.out}}/n\n",
    "parallel.yml": f"type: parallel\nname: score\ninputs: {{rows: {{type: uri_folder}}, n: {{type: integer}}}}\n"
    f"outputs: {{rows: {{type: uri_file}}}}\n{_PARALLEL}",
}


def document(example: Example) -> dict[str, Any]:
    """The file of an example as plain values."""
    value: dict[str, Any] = yaml.safe_load(example.text)
    return value
