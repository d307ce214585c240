"""azdistill logs: show the log of a node."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Writer, command
from tests.cli.run_folders import a_run

THREE = "{0} line 1\n{0} line 2\n{0} line 3\n"


@pytest.mark.parametrize(
    ("states", "node"),
    [
        ({"prepare": "completed", "teacher": "failed", "curate": "completed"}, "teacher"),
        ({"prepare": "interrupted", "other": "completed"}, "prepare"),
        ({"prepare": "completed", "teacher": "completed"}, "teacher"),
    ],
)
def test_by_default_the_failed_or_running_node_is_shown(
    azdistill: Command, folder: Path, states: dict[str, Any], node: str
) -> None:
    a_run(folder / "r", **states)
    done = azdistill("logs", "r")
    assert (done.code, done.out, done.err) == (0, THREE.format(node), f"{node}: {states[node]}\n")


def test_a_run_is_found_by_its_name_and_a_node_by_its_own(azdistill: Command) -> None:
    a_run(Path("runs/mine"), prepare="completed", teacher="failed")
    assert azdistill("logs", "mine", "prepare", "-n", "1").out == "prepare line 3\n"
    assert azdistill("logs", "runs/mine", "-n", "0").out == THREE.format("teacher")


def test_control_characters_are_replaced(azdistill: Command) -> None:
    log = a_run(Path("r"), say="completed") / "say/log.txt"
    log.write_bytes(b"\x1b[2Jgone\xff\n10%\r100%\n\nno end")
    assert azdistill("logs", "r").out == "\\x1b[2Jgone\ufffd\n10%\\r100%\n\nno end\n"
    log.unlink()
    assert azdistill("logs", "r").out == ""


def test_an_unknown_node_or_run_is_one_line(azdistill: Command) -> None:
    a_run(Path("runs/mine"), prepare="completed")
    done = azdistill("logs", "mine", "prepared")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "node 'prepared': runs/mine has no such node, or it has not started; did you mean 'prepare'?" in done.err
    done = azdistill("logs", "yours")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "yours: not a run folder; give a run folder, or a name in runs/, which has: mine" in done.err


def test_logs_of_processes_and_files_in_outputs_and_logs_are_named(azdistill: Command) -> None:
    node = a_run(Path("r"), tune="completed") / "tune"
    for path in ("log.1.txt", "log.10.txt", "log.2.txt", ".code/logs/own/a.txt"):
        (node / path).parent.mkdir(parents=True, exist_ok=True)
        (node / path).write_text(f"{path}\n")
    for trial in ("11", "12"):
        (node / "trials" / trial / ".code/outputs").mkdir(parents=True)
        (node / "trials" / trial / "log.txt").write_text(f"trial {trial}\n")
        (node / "trials" / trial / ".code/outputs/a.txt").touch()
    done = azdistill("logs", "r", "tune")
    assert done.err.splitlines() == [
        "tune: completed",
        "more logs: tune/1 to tune/12",
        "1 file: r/tune/.code/logs",
        "2 files: r/tune/trials/*/.code/outputs",
    ]
    assert azdistill("logs", "r", "tune/10").out == "log.10.txt\n"
    assert azdistill("logs", "r", "tune/12").out == "trial 12\n"
    done = azdistill("logs", "r", "tune/3")
    assert (done.code, done.err) == (2, "azdistill: node 'tune/3': no such log; give one of 1, 2, 10, 11, 12\n")


def test_a_log_is_followed_until_its_node_ends(pipeline: Writer, start: Any, folder: Path) -> None:
    slow = command(
        "echo one; printf t; while [ ! -e ${{inputs.go}} ]; do sleep .05; done; echo wo",
        inputs={"go": str(folder / "go")},
    )
    run: subprocess.Popen[str] = start("run", pipeline({"say": slow}), "-o", "r")
    while not (folder / "r/say/log.txt").is_file():
        time.sleep(0.05)
    logs: subprocess.Popen[str] = start("logs", "r", "-f")
    assert logs.stdout is not None
    assert logs.stdout.readline() == "one\n"
    (folder / "go").touch()
    assert logs.communicate(timeout=30)[0] == "two\n"
    assert (logs.returncode, run.wait(30)) == (0, 0)
    run.communicate()


def test_the_log_of_a_killed_run_is_not_followed(azdistill: Command, folder: Path) -> None:
    a_run(folder / "r", say="running")
    done = azdistill("logs", "r", "-f")
    assert (done.out, done.err) == (THREE.format("say"), "say: interrupted\n")
