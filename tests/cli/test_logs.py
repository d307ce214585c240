"""azdistill logs: the lines that a person asks about."""

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
        ({"prepare": "completed", "teacher": "running"}, "teacher"),
        ({"prepare": "interrupted", "other": "completed"}, "prepare"),
        ({"prepare": "completed", "teacher": "completed"}, "teacher"),
    ],
)
def test_the_node_that_matters_is_shown(azdistill: Command, folder: Path, states: dict[str, Any], node: str) -> None:
    a_run(folder / "r", **states)
    done = azdistill("logs", "r")
    assert (done.code, done.out, done.err) == (0, THREE.format(node), f"{node}: {states[node]}\n")


def test_a_run_is_found_by_its_name_and_a_node_by_its_own(azdistill: Command) -> None:
    a_run(Path("runs/mine"), prepare="completed", teacher="failed")
    assert azdistill("logs", "mine", "prepare", "-n", "1").out == "prepare line 3\n"
    assert azdistill("logs", "runs/mine", "-n", "0").out == THREE.format("teacher")


def test_what_is_no_text_is_safe_to_print(azdistill: Command) -> None:
    log = a_run(Path("r"), say="completed") / "say/log.txt"
    log.write_bytes(b"\x1b[2Jgone\xff\n10%\r100%\n\nno end")
    assert azdistill("logs", "r").out == "\ufffd[2Jgone\ufffd\n10%\ufffd100%\n\nno end\n"
    log.unlink()
    assert azdistill("logs", "r").out == ""


def test_a_node_or_run_that_there_is_not_is_one_line_that_helps(azdistill: Command) -> None:
    a_run(Path("runs/mine"), prepare="completed")
    done = azdistill("logs", "mine", "prepared")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "node 'prepared': not in runs/mine, or not started; did you mean 'prepare'?" in done.err
    done = azdistill("logs", "yours")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "'yours': no run lies here; name a run folder. In runs/ there are: mine" in done.err


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


def test_a_node_whose_run_was_killed_is_not_waited_for(azdistill: Command, folder: Path) -> None:
    a_run(folder / "r", say="running")
    assert azdistill("logs", "r", "-f").out == THREE.format("say")
