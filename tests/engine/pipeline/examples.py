"""Valid pipeline files, which tests make wrong."""

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
settings: {default_compute: "azureml:cpu"}
inputs:
  raw: {type: uri_file, path: ./raw.csv}
  seed: 7
  share: 0.5
outputs:
  model: {type: uri_folder}
jobs:
  prepare:
    type: command
    component: ./prepare.yml
    inputs:
      raw: ${{parent.inputs.raw}}
      seed: ${{parent.inputs.seed}}
  train:
    type: command
    component: ./train.yml
    compute: azureml:gpu
    resources: {instance_type: Standard_NC24ads_A100_v4, shm_size: 8g}
    distribution: {type: pytorch, process_count_per_instance: 1}
    inputs:
      rows: ${{parent.jobs.prepare.outputs.rows}}
      epochs: 3
      share: ${{parent.inputs.share}}
    outputs:
      model: ${{parent.outputs.model}}
"""

PREPARE = """\
type: command
name: prepare
inputs:
  raw: {type: uri_file}
  seed: {type: integer, default: 0}
outputs:
  rows: {type: uri_folder}
code: ./src
environment: file:./environment.yml
command: python prepare.py ${{inputs.raw}} --seed ${{inputs.seed}} --out ${{outputs.rows}}
"""

TRAIN = """\
type: command
name: train
inputs:
  rows: {type: uri_folder}
  epochs: {type: integer, min: 1, max: 10}
  share: {type: number, default: 0.1}
  mode: {type: string, enum: [fast, exact], optional: true}
outputs:
  model: {type: uri_folder}
environment: azureml:gpu-image:4
command: >-
  python train.py ${{inputs.rows}} --epochs ${{inputs.epochs}} --share ${{inputs.share}}
  $[[--mode ${{inputs.mode}}]] --out ${{outputs.model}}
"""

# A pipeline of two command components.
COMMAND_FILES = {
    "pipeline.yml": PIPELINE,
    "prepare.yml": PREPARE,
    "train.yml": TRAIN,
    "environment.yml": "image: ubuntu\n",
    "raw.csv": "a\n",
    "src/prepare.py": "",
}

# A pipeline with the settings that Azure's client checks: a job with its own command, and one with a component file.
CLIENT_FILES = {
    **COMMAND_FILES,
    "pipeline.yml": """\
type: pipeline
display_name: two jobs
tags: {owner: me}
settings: {default_compute: "azureml:cpu", default_datastore: "azureml:blob", force_rerun: false}
identity: {type: managed_identity}
inputs:
  raw: {type: uri_file, path: ./raw.csv}
  n: 3
outputs:
  result: {type: uri_folder}
jobs:
  say:
    type: command
    command: echo ${{inputs.n}} > ${{outputs.out}}/n
    environment: azureml:small:1
    resources: {instance_count: 2}
    distribution: {type: pytorch, process_count_per_instance: 1}
    limits: {timeout: 60}
    queue_settings: {job_tier: spot}
    inputs:
      n: ${{parent.inputs.n}}
    outputs:
      out: ${{parent.outputs.result}}
  prepare:
    type: command
    component: ./prepare.yml
    resources: {shm_size: 2g}
    limits: {timeout: 90}
    inputs:
      raw: ${{parent.inputs.raw}}
    outputs:
      rows: {mode: upload}
""",
}

SWEEP = """\
type: pipeline
settings: {default_compute: "azureml:gpu"}
jobs:
  tune:
    type: sweep
    trial:
      command: >-
        python train.py --rate ${{inputs.rate}} --depth ${{inputs.depth}} --kernel ${{inputs.kernel}}
        $[[--fast ${{inputs.fast}}]] --out ${{outputs.model}}
      environment: azureml:sklearn-1.5:3
      inputs:
        rate: {type: number, min: 0, max: 1}
        depth: {type: integer, min: 1, max: 9, default: 3}
        kernel: {type: string, enum: [rbf, linear]}
        fast: {type: boolean, optional: true}
      outputs: {model: {type: uri_folder}}
    inputs: {kernel: rbf}
    search_space:
      rate: {type: uniform, min_value: 0.1, max_value: 0.9}
    sampling_algorithm: random
    objective: {goal: minimize, primary_metric: eval_loss}
    limits: {max_total_trials: 4}
"""
SPACE = "rate: {type: uniform, min_value: 0.1, max_value: 0.9}"

PARALLEL = """\
type: pipeline
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    mini_batch_size: "10"
    mini_batch_error_threshold: 5
    error_threshold: 3
    logging_level: WARNING
    max_concurrency_per_instance: 2
    resources: {instance_count: 2}
    retry_settings: {max_retries: 4, timeout: 30}
    input_data: ${{inputs.images}}
    inputs:
      images: {type: uri_folder, path: ./images, mode: ro_mount}
      model: {type: uri_folder, path: ./images}
      rate: 0.5
    outputs:
      rows: {type: uri_file, mode: rw_mount}
      pictures: {type: uri_folder}
    task:
      type: run_function
      code: ./src
      entry_script: score.py
      environment: azureml:sklearn-1.5:3
      program_arguments: --model ${{inputs.model}} --rate ${{inputs.rate}} --out ${{outputs.pictures}}
      append_row_to: ${{outputs.rows}}
"""

USE_PARALLEL = """\
type: pipeline
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    component: ./score/component.yml
    inputs: {images: {type: uri_folder, path: ./images}}
"""

PARALLEL_COMPONENT = """\
type: parallel
name: score
inputs:
  images: {type: uri_folder}
  rate: {type: number, optional: true}
outputs:
  rows: {type: uri_file}
input_data: ${{inputs.images}}
mini_batch_size: "3"
retry_settings: {max_retries: 1}
task:
  type: run_function
  code: ../src
  entry_script: score.py
  environment: azureml:sklearn-1.5:3
  program_arguments: $[[--rate ${{inputs.rate}}]]
  append_row_to: ${{outputs.rows}}
"""

PARALLEL_FILES = {
    "images/a.png": "",
    "src/score.py": "",
    "src/deep/other.py": "",
    "score/component.yml": PARALLEL_COMPONENT,
}

HEAD = "$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json\ntype: pipeline\n"

STYLES: dict[str, str] = {
    "sweep": """
settings: {default_compute: "azureml:gpu"}
outputs:
  best: {type: uri_folder}
jobs:
  tune:
    type: sweep
    trial: ./components/score.yml
    inputs:
      rows: {type: uri_folder, path: ./data}
      title: fixed
    search_space:
      limit: {type: choice, values: [1, 2, 3]}
    sampling_algorithm: random
    objective: {goal: minimize, primary_metric: eval_loss}
    limits: {max_total_trials: 4, max_concurrent_trials: 2, timeout: 3600}
    outputs:
      scores: ${{parent.outputs.best}}
  use:
    type: command
    command: ls ${{inputs.model}}
    environment: azureml:sklearn-1.5:3
    inputs: {model: "${{parent.jobs.tune.outputs.scores}}"}
""",
    "parallel": """
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    mini_batch_size: "5"
    mini_batch_error_threshold: 1
    retry_settings: {max_retries: 2, timeout: 60}
    resources: {instance_count: 2}
    max_concurrency_per_instance: 2
    input_data: ${{inputs.images}}
    inputs:
      images: {type: uri_folder, path: ./data, mode: ro_mount}
    outputs:
      result: {type: uri_file, mode: rw_mount}
    task:
      type: run_function
      code: ./src
      entry_script: score.py
      environment: azureml:sklearn-1.5:3
      program_arguments: --out ${{outputs.result}}
  use:
    type: command
    command: cat ${{inputs.scores}}
    environment: azureml:sklearn-1.5:3
    inputs: {scores: "${{parent.jobs.batch.outputs.result}}"}
""",
    "nested pipeline": """
settings: {default_compute: "azureml:cpu"}
inputs: {rows: {type: uri_folder, path: ./data}}
jobs:
  inner:
    type: pipeline
    component: ./components/inner.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
  use:
    type: command
    command: ls ${{inputs.model}}
    environment: azureml:sklearn-1.5:3
    inputs: {model: "${{parent.jobs.inner.outputs.model}}"}
""",
}

# Files that the styles use.
STYLE_FILES = {
    "data/a.csv": "a\n",
    "src/score.py": "",
    "components/score.yml": """
type: command
name: score
inputs:
  rows: {type: uri_folder}
  limit: {type: integer, optional: true, min: 1}
  title: {type: string, optional: true}
  at: {type: string, optional: true}
outputs:
  scores: {type: uri_folder}
environment: azureml:sklearn-1.5:3
command: >-
  python score.py ${{inputs.rows}} $[[--limit ${{inputs.limit}}]] $[[--title ${{inputs.title}}]]
  $[[--at ${{inputs.at}}]] --out ${{outputs.scores}}
""",
    "components/inner.yml": """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: inner
inputs:
  rows: {type: uri_folder}
outputs:
  model: {type: uri_folder}
jobs:
  fit:
    type: command
    component: ./score.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {scores: "${{parent.outputs.model}}"}
""",
}
