"""The simulated teacher as a process, the student of the quickstart, and rows of its task."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.process import running

STUDENT = Path(__file__).parents[2] / "pipelines/quickstart/student"


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """The endpoint of a simulated teacher without wrong answers and latency."""
    with running(Simulation(expert="support", latency_ms=0, wrong_rate=0)) as url:
        yield url


@pytest.fixture
def teacher(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A teacher as in a job file, with its store in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZDISTILL_HOME", raising=False)
    return {"model": "DeepSeek-V3.2", "endpoint": address, "max_tokens": 64}


@pytest.fixture
def student() -> Path:
    """A student of 312,000 weights, which are initialized at random."""
    return STUDENT


def question_rows(*numbers: int) -> list[dict[str, Any]]:
    """Rows with an incomplete request, which the teacher answers with a question."""
    turns = [{"role": "user", "content": f"Hi, I need help with order #{4711 + number}."} for number in numbers]
    return [{"messages": [turn]} for turn in turns]
