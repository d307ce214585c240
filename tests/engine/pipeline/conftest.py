"""A right pipeline of a prepare and a train step, to be made wrong in one place at a time."""

from pathlib import Path

import pytest

from azdistill.engine.pipeline.validation import validate
from azdistill.engine.problems import Problem

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


class Desk:
    """Files of one pipeline, and what is found in them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in {
            "pipeline.yml": PIPELINE,
            "prepare.yml": PREPARE,
            "train.yml": TRAIN,
            "environment.yml": "image: ubuntu\n",
            "raw.csv": "a\n",
            "src/prepare.py": "",
        }.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert before in text, f"{before!r} is not in {name}"
        self.write(name, text.replace(before, after, 1))

    def findings(self) -> list[Problem]:
        return validate(self.root / "pipeline.yml")

    def told(self) -> list[str]:
        """Findings as they are printed, without the temporary folder."""
        return [str(finding).replace(f"{self.root}/", "") for finding in self.findings()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
