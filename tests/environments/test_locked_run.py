"""The steps run with the locked packages, on this machine: the images themselves are built by Azure ML only."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    """Downloads 4 GB at the first time. torch for CUDA trains on the CPU of a machine without a GPU."""
    job = small_job(tmp_path / "job")
    options = [f"--env=azdistill-{name}={virtual_environment(name)}" for name in lock.environments()]
    command = [*AZDISTILL, "run", str(job), "-o", str(tmp_path / "run"), *options]
    environment = variables(tmp_path / "home")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # so few rows may not pass the gates
    assert (tmp_path / "run" / "train" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "report" / "report" / "report.html").is_file()
