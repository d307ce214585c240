"""The steps run with the locked packages, on this machine: the images themselves are built by Azure ML only."""

import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import PREDICTIONS_FILE
from azdistill.contracts.predict import STEP
from azdistill.contracts.rows import Prediction
from environments import lock
from tests.small_job import AZDISTILL, small_job, variables

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

# Kept between runs of the tests: torch for CUDA and its libraries take 7 GB.
FOLDER = ROOT / ".azdistill" / "locked"


def virtual_environment(name: str) -> Path:
    """A virtual environment with exactly the pip packages of an environment's lock."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join(lock.packages(name)))
    if not (folder / "venv").exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    for command in (["sync", "--quiet", folder / "requirements.txt"], ["check", "--quiet"]):
        subprocess.run([UV, "pip", *command, "--python", python], check=True)
    return python


@pytest.mark.pypi
@pytest.mark.timeout(1800)
def test_every_step_runs_with_the_locked_packages(tmp_path: Path) -> None:
    """Downloads several GB at the first time. torch for CUDA trains on the CPU of a machine without a GPU."""
    job = small_job(tmp_path / "job")
    options = [f"--env=azdistill-{name}={virtual_environment(name)}" for name in ("cpu", "gpu")]
    command = [*AZDISTILL, "run", str(job), "-o", str(tmp_path / "run"), *options]
    environment = variables(tmp_path / "home")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # so few rows may not pass the gates
    assert (tmp_path / "run" / "train" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "report" / "report" / "report.html").is_file()
    predictions = tmp_path / "run" / "predict_student" / "predictions"
    assert predictions_of_vllm_environment(tmp_path) == list(read_rows(predictions / PREDICTIONS_FILE, Prediction))


def predictions_of_vllm_environment(folder: Path) -> list[Prediction]:
    """Step predict on the trained student with the packages next to vLLM. vLLM itself needs a GPU."""
    run, output = folder / "run", folder / "vllm"
    ports = {"model": run / "train" / "model", "prompts": run / "prepare" / "prompts", "predictions": output}
    options = [f"--{name}={path}" for name, path in ports.items()]
    config = ["--engine=transformers", "--max-new-tokens=16"]
    command = [virtual_environment("vllm"), "-m", STEP.module, *options, *config]
    subprocess.run(command, env=variables(folder / "home", PYTHONPATH=str(ROOT)), check=True)
    return list(read_rows(output / PREDICTIONS_FILE, Prediction))
