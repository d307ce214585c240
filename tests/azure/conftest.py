"""Bundles, and fixtures of the simulated workspace."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.workspace.first_day import compile_small_job
from tests.workspace.fixtures import client, credential, registry, storage, workspace

__all__ = ["client", "credential", "registry", "storage", "workspace"]

COMPONENT = """\
type: command
name: say
inputs:
  rows: {type: integer}
code: ./code
environment: file:../../environments/cpu/environment.yml
command: python say.py ${{inputs.rows}}
"""

PIPELINE = """\
type: pipeline
display_name: small
experiment_name: small
identity: {type: managed_identity}
settings: {default_compute: azureml:cpu-cluster, continue_on_step_failure: true}
inputs: {rows: 0, teacher_route: endpoint, judge_route: endpoint}
outputs:
  evaluation: {type: uri_folder}
  report: {type: uri_folder}
jobs:
  register:
    type: command
    component: ./components/say/component.yml
    compute: azureml:cpu-cluster
    inputs: {rows: "${{parent.inputs.rows}}"}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle with one node, which is submitted quickly."""
    root = tmp_path / "small"
    files = {
        "pipeline.yml": PIPELINE,
        "components/say/component.yml": COMPONENT,
        "components/say/code/say.py": "print(1)\n",
        "environments/cpu/environment.yml": "name: cpu\nversion: '1'\nimage: ubuntu\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Path]:
    """Compile a job for a workspace; keyword arguments replace its sections."""
    return partial(compile_small_job, tmp_path)
