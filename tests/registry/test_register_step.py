"""The register step as a process: exit codes and output that Azure ML and the local engine see."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.manifest import read_manifest
from azdistill.engine.job_variables import TRACKING_DATABASE


def register(
    inputs: dict[str, Path], output: Path, registry: str | None, **variables: str
) -> subprocess.CompletedProcess[str]:
    ports = [word for name, path in inputs.items() for word in (f"--{name.replace('_', '-')}", str(path))]
    ports += ["--model-address", str(inputs["model"]), "--mlflow-models", str(output.parent / "mlflow-models")]
    command = [sys.executable, "-m", "azdistill.steps.register", *ports, "--registration", str(output)]
    known = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = known | ({"MLFLOW_TRACKING_URI": registry} if registry else {}) | variables
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.mark.slow
def test_registers_and_says_where(inputs: dict[str, Path], registry: str, tmp_path: Path) -> None:
    (tmp_path / "licences.json").write_text('["llama3.3", "gemma"]')
    (tmp_path / "job_facts.json").write_text('{"student": {"name": "Gemma", "licence": "gemma", "acknowledged": true}}')
    files = {"licences_acknowledged": tmp_path / "licences.json", "job_facts": tmp_path / "job_facts.json"}
    done = register(inputs | files, tmp_path / "out", registry)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"registered models:/student/1 in {registry}\n"
    written = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert {"registered_model": "student", "version": 1, "model_uri": "models:/student/1"}.items() <= written.items()
    assert written["registry"] == registry
    assert written["licences_acknowledged"] == ["llama3.3", "gemma"]
    assert written["gate"]["decision"] == "passed"
    assert written["metrics"]["rows"] == 500
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlicense: gemma\n")
    assert "| Gemma | gemma | none known | yes |" in card
    version = MlflowClient(tracking_uri=registry).get_model_version("student", "1")
    assert version.description in card
    assert read_manifest(tmp_path / "out").counts == {"registered_model": "student", "version": 1}
    # The server of a local run ends with it: lineage names its database.
    done = register(inputs, tmp_path / "again", registry, **{TRACKING_DATABASE: "sqlite:///home/mlflow.db"})
    assert done.stdout == "registered models:/student/1 in sqlite:///home/mlflow.db\n"


def test_refuses_with_3_before_anything_is_created(
    inputs: dict[str, Path], evaluated: Callable[..., Path], registry: str, tmp_path: Path
) -> None:
    done = register(inputs | {"evaluation": evaluated("refused")}, tmp_path / "out", registry)
    assert done.returncode == 3
    assert "gate min_retention=0.9 refused at 0.711 [0.680, 0.742]" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()
    assert not MlflowClient(tracking_uri=registry).search_registered_models()


def test_inconclusive_is_refused_too(
    inputs: dict[str, Path], evaluated: Callable[..., Path], registry: str, tmp_path: Path
) -> None:
    done = register(inputs | {"evaluation": evaluated("inconclusive")}, tmp_path / "out", registry)
    assert done.returncode == 3
    assert "the student is inconclusive" in done.stderr


def test_a_half_written_model_is_refused(inputs: dict[str, Path], registry: str, tmp_path: Path) -> None:
    (inputs["model"] / MANIFEST_FILE).unlink()
    done = register(inputs, tmp_path / "out", registry)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert str(inputs["model"]) in done.stderr


def test_no_registry_named(inputs: dict[str, Path], tmp_path: Path) -> None:
    done = register(inputs, tmp_path / "out", None)
    assert done.returncode == 2
    assert "MLFLOW_TRACKING_URI is not set" in done.stderr
