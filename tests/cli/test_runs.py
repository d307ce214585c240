"""azdistill runs: one line for each run, with its state."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from azdistill.cli.runs import _duration as duration
from azdistill.contracts.manifest import close_folder, open_folder
from azdistill.engine.local.guards import locked
from azdistill.local_runs.run_folder import read_run
from tests.cli.conftest import Command, Writer, command
from tests.cli.run_folders import a_run, evaluated, exited_with
from tests.damaged import CONTENTS


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_utc")
def test_the_latest_run_comes_first(azdistill: Command) -> None:
    evaluated(a_run(Path("runs/first"), prepare="completed", evaluate="completed"))
    a_run(Path("runs/second"), day=1, prepare="completed", teacher="failed")
    Path("runs/notes.txt").write_text("no run")
    done = azdistill("runs")
    assert (done.code, done.err) == (0, "")
    heading, second, first = done.out.splitlines()
    assert heading == "run     state      last active       node time   nodes   decision  student"
    assert first.split() == "first completed 2023-11-14 22:13 1 min 20 s 2 of 2 passed accuracy 0.750".split()
    assert second.split() == "second failed 2023-11-15 22:13 1 min 20 s 1 of 2".split()


def state(path: Path) -> str:
    run = read_run(path)
    assert run
    return run.state


def test_a_run_is_running_while_another_process_has_locked_it(folder: Path) -> None:
    path = a_run(folder / "r", prepare="completed", teacher="running")
    assert state(path) == "interrupted"
    with locked(path):
        assert state(path) == "running"
    assert state(path) == "interrupted"


def test_a_run_waits_for_a_command_that_shows_its_folder(folder: Path) -> None:
    path, is_held = a_run(folder / "r", prepare="completed"), threading.Event()

    def show() -> None:
        with locked(path):
            is_held.set()
            time.sleep(0.1)

    shown = threading.Thread(target=show)
    shown.start()
    is_held.wait()
    with locked(path):
        shown.join()


def test_a_refusal_is_distinguished_from_a_failure(folder: Path) -> None:
    path = evaluated(a_run(folder / "r", evaluate="completed", register="failed"), decision="refused")
    assert state(path) == "failed"
    exited_with(path, "register", 3)
    assert state(path) == "refused"
    exited_with(path, "report", 1)
    assert state(path) == "failed"
    undecided = evaluated(a_run(folder / "u", evaluate="completed"), decision="inconclusive")
    exited_with(undecided, "register", 3)
    assert state(undecided) == "inconclusive"


def test_the_evaluation_of_an_earlier_attempt_is_not_shown(azdistill: Command) -> None:
    evaluated(a_run(Path("runs/r"), evaluate="completed", train="failed"))
    assert "passed" not in azdistill("runs").out


def test_a_run_of_the_engine_is_listed(azdistill: Command, pipeline: Writer) -> None:
    azdistill("run", pipeline({"say": command("echo hello")}), "-o", "elsewhere/mine")
    listed = azdistill("runs", "elsewhere").out
    assert listed.splitlines()[1].startswith("mine  completed")
    assert azdistill("runs", "elsewhere/mine").out == listed


def test_nodes_that_did_not_run_are_counted(azdistill: Command, pipeline: Writer) -> None:
    pipeline({"b": "true", "c": "true"}, file="inner.yml")
    jobs = {"a": command("true"), "inner": {"type": "pipeline", "component": "./inner.yml"}}
    assert azdistill("run", pipeline(jobs), "--until", "a", "-o", "runs/r").code == 0
    assert "1 of 3" in azdistill("runs").out


def test_a_run_with_damaged_files_is_listed(azdistill: Command) -> None:
    run = evaluated(a_run(Path("runs/first"), prepare="completed", evaluate="completed"))
    for name in ("prepare/node.json", "evaluate/evaluation/metrics.json", "evaluate/evaluation/gate.json"):
        before = (run / name).read_bytes()
        for content in CONTENTS.values():
            (run / name).write_bytes(content)
            done = azdistill("runs")
            assert (done.code, done.err, done.out.count("\n")) == (0, "", 2)
        (run / name).write_bytes(before)


def test_verify_names_the_files_that_are_not_as_they_were_written(azdistill: Command) -> None:
    run = a_run(Path("runs/first"), train="completed")
    model = open_folder(run / "train/model")
    for name in ("config.json", "model.safetensors"):
        (model / name).write_bytes(name.encode())
    close_folder(model, "train", {})
    assert azdistill("runs", "--verify").code == 0
    (model / "model.safetensors").write_bytes(b"model.safetensorz")
    assert azdistill("runs").code == 0
    done = azdistill("runs", "--verify")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith("runs/first/train/model/model.safetensors: missing or not as step train wrote it")


def test_a_missing_folder_is_one_line(azdistill: Command) -> None:
    done = azdistill("runs")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "runs: no such folder" in done.err


def test_a_folder_without_runs_lists_none(azdistill: Command, folder: Path) -> None:
    (folder / "runs").mkdir()
    done = azdistill("runs")
    assert (done.out.count("\n"), done.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (7500, "2 h 5 min")],
)
def test_durations_have_fitting_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
