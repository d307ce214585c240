"""azdistill simulate: serve a simulated teacher until Ctrl-C."""

import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cli.conftest import JOB, Command
from tests.students import tiny

TWO = """connection: deepseek
    - model: gpt-4.1
      name: mine
      connection: openai
"""
SETTINGS = "simulation: {DeepSeek-V3.2: {expert: nli}, mine: {expert: qa}}\n"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_url_and_ends_at_ctrl_c(start: Start, job: Path, number: int) -> None:
    process = start("simulate", job)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("simulated teacher (not a language model): http://127.0.0.1:")
    page = line.split()[-1].removesuffix("/v1/chat/completions")
    assert b"simulated teacher" in urllib.request.urlopen(page, timeout=10).read()
    assert process.stdout.readline() == "press Ctrl-C to stop it\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(("options", "expert"), [((), "nli"), (("--teacher", "mine"), "qa")])
def test_the_first_teacher_is_the_default(start: Start, job: Path, options: tuple[str, ...], expert: str) -> None:
    job.write_text(JOB.replace("connection: deepseek", TWO) + SETTINGS)
    process = start("simulate", job, *options)
    assert process.stdout
    page = process.stdout.readline().split()[-1].removesuffix("/v1/chat/completions")
    assert f"expert: {expert}" in urllib.request.urlopen(page, timeout=10).read().decode()
    process.terminate()
    process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("with_job", "message"),
    [
        (True, "--teacher 'his': job.yaml has no such teacher; it has DeepSeek-V3.2, mine"),
        (False, "--teacher 'his': needs a job file; give the job file of this teacher"),
    ],
)
def test_an_unknown_teacher_is_one_line(azdistill: Command, job: Path, with_job: bool, message: str) -> None:
    job.write_text(JOB.replace("connection: deepseek", TWO))
    done = azdistill("simulate", *(["job.yaml"] if with_job else []), "--teacher", "his")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(message)


def test_a_wrong_simulation_in_the_job_is_reported(azdistill: Command, job: Path) -> None:
    job.write_text(JOB + "simulation: {DeepSeek-V3.2: {seed: -1}}\n")
    done = azdistill("simulate", job)
    assert done.code == 2
    assert "simulation.DeepSeek-V3.2.seed=-1" in done.err


def test_a_folder_without_a_model_is_one_line(azdistill: Command, job: Path) -> None:
    done = azdistill("simulate", "--model", "rows")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith("rows: no config.json, so there is no model")


@pytest.mark.slow
def test_it_serves_a_model_with_the_faults_of_the_job(start: Start, job: Path, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model")
    job.write_text(JOB + "simulation: {DeepSeek-V3.2: {throttle_rate: 1.0}}\n")
    process = start("simulate", job, "--model", folder, "--no-prompt-logprobs")
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith(f"simulated teacher with the model {str(folder)!r}: http://127.0.0.1:")
    page = line.split()[-1].removesuffix("/v1/chat/completions")
    with pytest.raises(HTTPError, match="429"):
        urllib.request.urlopen(f"{page}/v1/completions", data=b'{"prompt": [3]}', timeout=10)
    process.terminate()
    assert process.communicate(timeout=20)[1] == ""
