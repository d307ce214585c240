"""The small job, made once, and the command that runs it."""

import subprocess
from pathlib import Path

import pytest

from tests.small_job import AZDISTILL, small_job, variables


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_job(tmp_path_factory.mktemp("small") / "job")


def run(*arguments: str | Path, home: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """Run `azdistill run` in a separate process."""
    return subprocess.run(
        [*AZDISTILL, "run", *map(str, arguments)],
        env=variables(home, **extra),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
