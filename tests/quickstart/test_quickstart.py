"""Parts of the quickstart; `make test-slow` runs all of it."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.rows import Message
from azdistill.simulate.experts import support
from tests.end_to_end.conftest import run
from tests.small_job import QUICKSTART


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, QUICKSTART / "generate.py", "--out", folder], check=True)
    return folder


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(row: dict[str, object]) -> tuple[Message, ...]:
    turns = row["messages"]
    assert isinstance(turns, list)
    return tuple(Message.model_validate(turn) for turn in turns)


def test_the_data_is_as_large_as_promised_and_no_conversation_is_in_both_files(data: Path) -> None:
    train, test = rows(data / "training_data.jsonl"), rows(data / "test_data.jsonl")
    assert len(train) >= 2000
    assert len(test) == 500
    conversations = {messages(row) for row in itertools.chain(train, test)}
    assert len(conversations) == len(train) + len(test)


def test_an_answer_needs_a_fact_of_an_earlier_turn(data: Path) -> None:
    """The order number, which the last turn never holds."""
    decided = [row for row in rows(data / "test_data.jsonl") if str(row["gold"]).startswith("Order #")]
    assert len(decided) > 400
    for row in decided:
        turns = messages(row)
        number = str(row["gold"]).split(":")[0].removeprefix("Order ")
        assert number not in turns[-1].content
        assert number in "".join(turn.content for turn in turns[:-1])


def test_the_reference_answers_are_the_policy_s(data: Path) -> None:
    for row in rows(data / "test_data.jsonl")[:100]:
        assert row["gold"] == support.answer(messages(row))


@pytest.mark.slow
def test_the_committed_student_is_what_its_script_makes(data: Path, tmp_path: Path) -> None:
    made = [sys.executable, QUICKSTART / "make_student.py", "--data", data, "--out", tmp_path]
    subprocess.run(made, check=True)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == sorted(path.name for path in (QUICKSTART / "student").iterdir())
    for name in files:
        assert (tmp_path / name).read_bytes() == (QUICKSTART / "student" / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quickstart_proves_its_student(data: Path, tmp_path: Path) -> None:
    job = tmp_path / "job"
    subprocess.run(["cp", "-r", QUICKSTART, job], check=True)
    subprocess.run(["cp", "-r", data, job / "data"], check=True)
    done = run(job / "job.yaml", "-o", tmp_path / "run", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run/report/report/report.json").read_text())
    assert report["retention"]["value"] >= 0.92
    assert report["models"]["baseline"]["accuracy"]["value"] <= 0.05
    again = run(job / "job.yaml", "-o", tmp_path / "run", home=tmp_path / "home")
    assert again.returncode == 0
    others = {line.split(":")[0] for line in again.stderr.splitlines() if "reused" not in line}
    assert others == {"answers and models", "register"}
