"""azdistill simulate: the simulated teacher for a person, until Ctrl-C."""

import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import JOB, Command

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_where_and_ends_quietly(start: Start, job: Path, number: int) -> None:
    process = start("simulate", job)
    assert process.stdout
    said = process.stdout.readline()
    assert said.startswith("simulated teacher (a stand-in, no language model): http://127.0.0.1:")
    page = said.split()[-1].removesuffix("/v1/chat/completions")
    assert b"stand-in" in urllib.request.urlopen(page, timeout=10).read()
    assert process.stdout.readline() == "Ctrl-C ends it\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_it_takes_the_simulation_of_the_job(azdistill: Command, job: Path) -> None:
    job.write_text(JOB.replace("connection: deepseek", "connection: deepseek\n      simulation:\n        seed: -1"))
    done = azdistill("simulate", job)
    assert done.code == 2
    assert "teacher.teachers.0.simulation.seed=-1" in done.err
