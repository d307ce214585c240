"""A small version of the quickstart: its job with few rows, one epoch and a home of its own."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[2] / "pipelines" / "quickstart"
AZDISTILL = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]
SMALLER = {"num_epochs: 3": "num_epochs: 1", "max_new_tokens: 48": "max_new_tokens: 16"}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    every = tmp_path_factory.mktemp("every")
    subprocess.run([sys.executable, QUICKSTART / "generate.py", "--out", every], check=True)
    (folder / "data").mkdir()
    for name, rows in {"training_data.jsonl": 300, "test_data.jsonl": 60}.items():
        with (every / name).open() as source:
            (folder / "data" / name).write_text("".join(itertools.islice(source, rows)))
    shutil.copytree(QUICKSTART / "student", folder / "student")
    text = (QUICKSTART / "job.yaml").read_text()
    for before, after in SMALLER.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def variables(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "AZDISTILL_HOME": str(home), "OMP_NUM_THREADS": "1", **(extra or {})}


def run(*arguments: str | Path, home: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*AZDISTILL, "run", *map(str, arguments)],
        env=variables(home, extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
