"""azdistill simulate: the simulated teacher for a person, until Ctrl-C."""

import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import JOB, Command

TWO = """connection: deepseek
    - model: gpt-4.1
      name: mine
      connection: openai
"""
SETTINGS = "simulation: {DeepSeek-V3.2: {expert: nli}, mine: {expert: qa}}\n"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_where_and_ends_quietly(start: Start, job: Path, number: int) -> None:
    process = start("simulate", job)
    assert process.stdout
    said = process.stdout.readline()
    assert said.startswith("simulated teacher (a stand-in, no language model): http://127.0.0.1:")
    page = said.split()[-1].removesuffix("/v1/chat/completions")
    assert b"simulated teacher" in urllib.request.urlopen(page, timeout=10).read()
    assert process.stdout.readline() == "Ctrl-C ends it\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(("options", "expert"), [((), "nli"), (("--teacher", "mine"), "qa")])
def test_one_of_several_teachers_is_named_and_the_first_is_the_usual(
    start: Start, job: Path, options: tuple[str, ...], expert: str
) -> None:
    job.write_text(JOB.replace("connection: deepseek", TWO) + SETTINGS)
    process = start("simulate", job, *options)
    assert process.stdout
    page = process.stdout.readline().split()[-1].removesuffix("/v1/chat/completions")
    assert f"expert: {expert}" in urllib.request.urlopen(page, timeout=10).read().decode()
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("with_job", "said"),
    [
        (True, "--teacher 'his': job.yaml has 'DeepSeek-V3.2', 'mine'; name one of them"),
        (False, "--teacher 'his': name the job file that it is in"),
    ],
)
def test_a_teacher_that_is_not_there_is_one_line(azdistill: Command, job: Path, with_job: bool, said: str) -> None:
    job.write_text(JOB.replace("connection: deepseek", TWO))
    done = azdistill("simulate", *(["job.yaml"] if with_job else []), "--teacher", "his")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(said)


def test_it_takes_the_simulation_of_the_job(azdistill: Command, job: Path) -> None:
    job.write_text(JOB + "simulation: {DeepSeek-V3.2: {seed: -1}}\n")
    done = azdistill("simulate", job)
    assert done.code == 2
    assert "simulation.DeepSeek-V3.2.seed=-1" in done.err
