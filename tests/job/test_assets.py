"""The wheel contains all files that an installed package needs.

Laid out here as the wheel's configuration says, for want of its build backend in the environment of the tests.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def wheel() -> dict[str, Any]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    target: dict[str, Any] = document["tool"]["hatch"]["build"]["targets"]["wheel"]
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip would put it into site-packages."""
    site = tmp_path_factory.mktemp("site")
    for package in wheel()["packages"]:
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in wheel()["force-include"].items():
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, site / target)
    return site


def azdistill(installed: Path, folder: Path, *arguments: str) -> str:
    program = "from azdistill.cli.main import main; import azdistill; print(azdistill.__file__); main()"
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("source", wheel()["force-include"])
def test_an_asset_of_the_wheel_keeps_its_path_in_the_repository(source: str) -> None:
    assert (ROOT / source).exists()
    assert wheel()["force-include"][source] == f"azdistill/_assets/{source}"


@pytest.mark.slow
def test_the_quickstart_comes_from_an_installed_package_and_compiles(installed: Path, tmp_path: Path) -> None:
    printed = azdistill(installed, tmp_path, "init", "--example", "support", "shop")
    assert printed.startswith(str(installed))
    assert len((tmp_path / "shop/data/test_data.jsonl").read_text().splitlines()) == 500
    azdistill(installed, tmp_path, "compile", "shop/job.yaml", "-o", "bundle")
    assert (tmp_path / "bundle/environments/gpu/conda.yml").is_file()
    assert (tmp_path / "bundle/inputs/student/config.json").is_file()


def test_a_job_folder_comes_from_an_installed_package(installed: Path, tmp_path: Path) -> None:
    azdistill(installed, tmp_path, "init", "mine", "--task", "own")
    job = tmp_path / "mine/job.yaml"
    job.write_text(job.read_text().replace("YOUR-RESOURCE", "foundry-7"))
    assert "valid job mine" in azdistill(installed, tmp_path, "validate", "mine/job.yaml")
