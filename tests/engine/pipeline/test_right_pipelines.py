"""Pipelines in the styles that people write for Azure ML: no finding, and the real SDK takes them too."""

import contextlib
import copy
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.validation import check, validate
from azdistill.engine.yaml_document import read_document
from tests.engine.pipeline.conftest import Desk

HEAD = "$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json\ntype: pipeline\n"

RIGHT: dict[str, str] = {
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

FILES = {
    "data/a.csv": "a\n",
    "conda.yml": "dependencies: [python]\n",
    "src/clean.py": "",
    "src/score.py": "",
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


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "pipeline.yml"


@pytest.mark.parametrize("style", RIGHT)
def test_a_right_pipeline_has_no_finding(written: Path, style: str) -> None:
    written.write_text(HEAD + RIGHT[style])
    assert [str(finding) for finding in validate(written)] == []


@pytest.mark.parametrize("style", RIGHT)
def test_azures_own_sdk_takes_it_too(written: Path, style: str) -> None:
    from azure.ai.ml import load_job

    logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
    written.write_text(HEAD + RIGHT[style])
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        job: Any = load_job(written)
        result = job._validate()
    assert result.error_messages == {}


def test_the_pipeline_that_is_made_wrong_is_right(desk: Desk) -> None:
    assert desk.told() == []
    check(load_pipeline(desk.root / "pipeline.yml"))


@pytest.mark.parametrize("style", ["sweep", "parallel", "nested pipeline"])
def test_a_local_run_takes_it_too(written: Path, style: str) -> None:
    written.write_text(HEAD + RIGHT[style])
    check(load_pipeline(written))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("limit: {type", "limits: {type",
         "search_space.limits: the trial has no such input; did you mean 'limit'?"),
        ("title: fixed", "limit: 3",
         "search_space.limit: inputs.limit gives it a fixed value too; take one of them out"),
        ("goal: minimize", "goal: smallest", "objective.goal='smallest': expected one of minimize, maximize"),
        (", primary_metric: eval_loss", "",
         "objective.primary_metric: required: the name of a metric as the trial logs it"),
        ("algorithm: random", "algorithm: rnd", "sampling_algorithm='rnd': expected one of random, grid, bayesian"),
        ("trial: ./", "component: ./", "trial: required, and not given"),
        ("    inputs:\n", "    identity: {type: user_identity}\n    inputs:\n",
         "identity: Azure ML drops it on a sweep job; take it out"),
        ("    inputs:\n", "    environment_variables: {A: b}\n    inputs:\n",
         "environment_variables: Azure ML drops it on a sweep job; take it out"),
        ("uri_folder, path: ./data", "uri_file, path: ./data/a.csv",
         "inputs.rows='./data/a.csv': of type uri_file, and the input of type uri_folder"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_sweep_is_told(written: Path, before: str, after: str, expected: str) -> None:
    text = HEAD + RIGHT["sweep"]
    assert before in text
    written.write_text(text.replace(before, after, 1))
    assert f"jobs.tune.{expected}" in [finding.text for finding in validate(written)]


def test_an_output_that_a_sweep_does_not_have_is_told(written: Path) -> None:
    written.write_text(HEAD + RIGHT["sweep"].replace("tune.outputs.scores", "tune.outputs.score"))
    (finding,) = validate(written)
    assert finding.text.endswith("jobs.tune has no such output; did you mean 'scores'?")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("${{inputs.images}}", "${{inputs.image}}",
         "jobs.batch.input_data='${{inputs.image}}': the job has no such input; did you mean 'images'?"),
        ("--out ${{outputs.result}}", "--out ${{outputs.results}}",
         ("jobs.batch.task.program_arguments='--out ${{outputs.results}}': the job has no such output; did you "
         "mean 'result'?")),
        ("${{inputs.images}}", "${{parent.jobs.uses.outputs.x}}",
         ("jobs.batch.input_data='${{parent.jobs.uses.outputs.x}}': the pipeline has no job 'uses'; did you mean "
         "'use'?")),
        ("${{inputs.images}}", "${{parent.inputs.images}}",
         "jobs.batch.input_data='${{parent.inputs.images}}': the pipeline has no such input; it has none"),
    ],
)  # fmt: skip
def test_a_reference_anywhere_in_a_job_is_followed(written: Path, before: str, after: str, expected: str) -> None:
    written.write_text(HEAD + RIGHT["parallel"].replace(before, after, 1))
    told = [finding.text for finding in validate(written)]
    assert [text for text in told if "expected ${{inputs.NAME}}" not in text] == [expected]  # of input_data, as well


def test_what_is_wrong_inside_of_a_nested_pipeline_is_told_in_its_file(written: Path) -> None:
    written.write_text(HEAD + RIGHT["nested pipeline"])
    inner = written.parent / "components" / "inner.yml"
    inner.write_text(FILES["components/inner.yml"].replace("parent.inputs.rows", "parent.inputs.row"))
    (finding,) = validate(written)
    assert (finding.file, finding.line) == (inner, 13)
    assert finding.text.endswith("the pipeline has no such input; did you mean 'rows'?")


def test_a_declared_number_does_not_fit_a_string(written: Path) -> None:
    written.write_text(HEAD + RIGHT["nested pipeline"])
    inner = written.parent / "components" / "inner.yml"
    text = FILES["components/inner.yml"].replace("inputs:\n", "inputs:\n  n: {type: number, default: 1}\n", 1)
    inner.write_text(text.replace("inputs: {rows:", 'inputs: {title: "${{parent.inputs.n}}", rows:'))
    (finding,) = validate(written)
    assert finding.text.endswith("inputs.n is of type number, and the input of type string")


def test_a_pipeline_that_holds_itself_is_told(written: Path) -> None:
    written.write_text(HEAD + RIGHT["nested pipeline"])
    inner = written.parent / "components" / "inner.yml"
    text = FILES["components/inner.yml"].replace("type: command", "type: pipeline").replace("./score", "./inner")
    inner.write_text(text.replace("outputs: {scores:", "outputs: {model:"))
    (finding,) = validate(written)
    assert finding.text == "jobs.fit.component='./inner.yml': a pipeline that holds itself"


ODD: list[Any] = [None, ["a"], {"a": {"b": 1}}, 1.5, "${{parent.inputs.x}}"]


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else []
    return [place] * bool(place) + [found for key, part in inner for found in _places(part, (*place, key))]


@pytest.mark.parametrize("file", ["pipeline.yml", "components/score.yml"])
def test_validate_never_raises_whatever_stands_anywhere(written: Path, file: str) -> None:
    """Every value of a pipeline and of a component, replaced by values of every kind."""
    written.write_text(HEAD + RIGHT["sweep"])
    path = written.parent / file
    whole = read_document(path, PipelineError, "file").value
    for place in _places(whole):
        for odd in ODD:
            path.write_text(_replaced(whole, place, odd))
            assert all(str(finding) for finding in validate(written))


def _replaced(whole: dict[str, Any], place: tuple[Any, ...], odd: Any) -> str:
    """The document as JSON, which is YAML, with another value in one place."""
    changed = copy.deepcopy(whole)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = odd
    return json.dumps(changed)
