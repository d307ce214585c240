"""Ctrl-C and SIGTERM: exit code 130, one line with the command that continues, and no process is left."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Writer
from tests.small_job import AZDISTILL

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def slow(pipeline: Writer) -> Path:
    """A pipeline that ends at once at the second attempt."""
    tried = "test -e ../tried && exit; touch ../tried; echo $$; exec sleep 60"
    return pipeline({"quick": "echo done", "slow": tried})


def when(condition: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_continues_with_the_printed_command(
    start: Start, slow: Path, azdistill: Command, number: int
) -> None:
    process, log = start("run", slow, "-o", "a run"), Path("a run/slow/log.txt")
    when(lambda: log.is_file() and log.read_text().endswith("\n"))
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"azdistill: interrupted; completed work is kept; continue with: azdistill run {slow} -o 'a run'"
    )
    assert "Traceback" not in err
    when(lambda: not alive(int(log.read_text())))

    done = azdistill("run", slow, "-o", "a run")
    assert done.code == 0
    assert "quick: reused" in done.err


def test_a_closed_terminal_interrupts_a_run(slow: Path) -> None:
    ours, theirs = os.openpty()
    command = [*AZDISTILL, "run", str(slow), "-o", "r"]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    log = Path("r/slow/log.txt")
    when(lambda: os.read(ours, 65536) != b"" and log.is_file() and log.read_text().endswith("\n"))
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 130
    when(lambda: not alive(int(log.read_text())))
    assert json.loads(Path("r/slow/node.json").read_text())["state"] == "interrupted"


def test_a_second_run_in_the_same_folder_is_wrong_input(start: Start, slow: Path, azdistill: Command) -> None:
    process = start("run", slow, "-o", "r")
    when(lambda: Path("r/slow/log.txt").is_file())
    done = azdistill("run", slow, "-o", "r")
    process.terminate()
    process.communicate(timeout=20)
    assert done.code == 2
    assert "in use by another run" in done.err
    assert done.err.count("\n") == 1
