"""Valid pipeline files in the styles that people write for Azure ML."""

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
    "inline jobs": """
display_name: weather_regression
description: Train a regression, inline.
experiment_name: weather
tags: {owner: team-a}
compute: azureml:cpu-cluster
inputs:
  weather_data: {type: uri_folder, path: ./data, mode: ro_mount}
  depth: 4
jobs:
  clean:
    type: command
    code: ./src
    environment: azureml:sklearn-1.5:3
    command: python clean.py --in ${{inputs.weather}} --depth ${{inputs.depth}} --out ${{outputs.cleaned}}
    inputs:
      weather: ${{parent.inputs.weather_data}}
      depth: ${{parent.inputs.depth}}
    outputs:
      cleaned: {type: uri_folder, mode: upload}
  fit:
    command: >-
      python fit.py --data ${{inputs.data}} --rate ${{inputs.rate}} --out ${{outputs.model}}
    code: ./src
    environment: {image: "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04", conda_file: ./conda.yml}
    environment_variables: {OMP_NUM_THREADS: "4"}
    inputs:
      data: {path: "${{parent.jobs.clean.outputs.cleaned}}", mode: download}
      rate: 1.0e-2
    outputs:
      model:
""",
    "component files and promoted outputs": """
settings: {default_compute: "azureml:cpu-cluster", default_datastore: "azureml:workspaceblobstore"}
identity: {type: managed_identity}
inputs:
  words: {type: uri_file, path: "https://example.org/words.csv", mode: download}
  share: 0.5
  title: {value: spring}
outputs:
  final: {type: uri_folder, mode: rw_mount}
jobs:
  split:
    type: command
    component: ./components/split.yml
    inputs:
      words: ${{parent.inputs.words}}
      share: ${{parent.inputs.share}}
  score:
    type: command
    component: file:./components/score.yml
    compute: azureml:gpu-cluster
    resources: {instance_count: 2, shm_size: 100M}
    inputs:
      rows: ${{parent.jobs.split.outputs.rows}}
      title: ${{parent.inputs.title}}
      limit: 10
    outputs:
      scores: ${{parent.outputs.final}}
""",
    "distributed training": """
settings: {default_compute: serverless, continue_on_step_failure: false, force_rerun: true}
jobs:
  train:
    type: command
    code: ./src
    environment: azureml:acpt:12
    command: python train.py --data ${{inputs.data}} --out ${{outputs.checkpoints}}
    inputs:
      data: {type: uri_folder, path: "azureml://datastores/blob/paths/rows/", mode: ro_mount}
    outputs:
      checkpoints: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/blob/paths/ckpt/${{name}}/"}
    resources: {instance_type: Standard_ND96isr_H100_v5, instance_count: 2, shm_size: 32g}
    distribution: {type: pytorch, process_count_per_instance: 8}
    limits: {timeout: 7200}
    queue_settings: {job_tier: spot}
""",
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
    "registered components": """
settings: {default_compute: "azureml:cpu"}
inputs: {rows: {type: uri_folder, path: "azureml:rows:3"}}
jobs:
  mine:
    type: command
    component: azureml:train:1
    inputs: {anything: "${{parent.inputs.rows}}", n: 3}
  theirs:
    type: command
    component: azureml://registries/azureml/components/evaluate/versions/1
    inputs: {model: "${{parent.jobs.mine.outputs.model}}"}
""",
    "text with inputs, and expressions in settings": """
settings: {default_compute: "azureml:cpu"}
inputs:
  first: a
  size: 2g
  count: 2
  raw: {type: uri_file, path: ./data/a.csv}
jobs:
  score:
    type: command
    component: ./components/score.yml
    resources: {shm_size: "${{parent.inputs.size}}", instance_count: "${{parent.inputs.count}}"}
    inputs:
      rows: {type: uri_folder, path: ./data}
      title: "${{parent.inputs.first}},b-${{parent.inputs.first}}"
""",
    "literals as text, and an older type": """
settings: {default_compute: "azureml:cpu"}
inputs:
  rows: {type: uri_folder, path: ./data}
jobs:
  typed:
    type: command
    component: ./components/typed.yml
    inputs: {rows: "${{parent.inputs.rows}}", count: "10", rate: 1e-5, deep: "True", mode: "True"}
""",
    "an optional input for a component of Azure ML": """
settings: {default_compute: "azureml:cpu"}
jobs:
  inner:
    type: pipeline
    component: ./components/optional.yml
""",
    "an entry script by its module": """
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    mini_batch_size: "5"
    input_data: ${{inputs.images}}
    inputs: {images: {type: uri_folder, path: ./data}}
    outputs: {result: {type: uri_file}}
    task:
      type: run_function
      code: ./src
      entry_script: package.module
      environment: azureml:sklearn-1.5:3
      append_row_to: ${{outputs.result}}
""",
    "a schedule's time": """
settings: {default_compute: "azureml:cpu"}
inputs:
  title: spring
  at: ${{creation_context.trigger_time}}
jobs:
  score:
    type: command
    component: ./components/score.yml
    inputs:
      rows: {type: uri_folder, path: ./data}
      title: ${{parent.inputs.title}}
      at: ${{parent.inputs.at}}
""",
}

# Files that the styles use.
STYLE_FILES = {
    "data/a.csv": "a\n",
    "conda.yml": "dependencies: [python]\n",
    "src/clean.py": "",
    "src/score.py": "",
    "src/package/module.py": "",
    "components/typed.yml": """
type: command
name: typed
inputs:
  rows: {type: path}
  count: {type: integer, max: 20}
  rate: {type: number, min: 0}
  deep: {type: boolean}
  mode: {type: string, enum: ["True", "False"]}
environment: azureml:sklearn-1.5:3
command: >-
  ls ${{inputs.rows}} ${{inputs.count}} ${{inputs.rate}} ${{inputs.deep}} ${{inputs.mode}}
""",
    "components/optional.yml": """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json
type: pipeline
name: optional
version: "1"
inputs: {rows: {type: uri_folder, optional: true}}
jobs:
  mine:
    type: command
    component: azureml:train:1
    inputs: {rows: "${{parent.inputs.rows}}"}
""",
    "components/split.yml": """
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: split
version: 1
display_name: Split
inputs:
  words: {type: uri_file, description: one a line}
  share: {type: number, min: 0, max: 1, default: 0.8}
outputs:
  rows: {type: uri_folder}
code: ../src
environment: azureml:sklearn-1.5:3
command: python split.py ${{inputs.words}} ${{inputs.share}} ${{outputs.rows}}
""",
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
