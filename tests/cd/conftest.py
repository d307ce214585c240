"""Run the verbs of scripts/cd as processes, with the recording `az` on their PATH."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.cd.__main__ import main
from tests.cd.oidc_server import OidcServer, oidc_server
from tests.cd.recording_az import RecordingAz, recording_az
from tests.cd.simulated_azure import SimulatedAzure
from tests.cli.conftest import Done

ROOT = Path(__file__).parents[2]
TARGET = {"AZURE_RESOURCE_GROUP": "group", "AZURE_ML_WORKSPACE": "workspace", "AZURE_ML_REGISTRY": "house"}
CD = [sys.executable, "-m", "scripts.cd"]
Run = Callable[..., Done]


@pytest.fixture
def azure() -> SimulatedAzure:
    return SimulatedAzure()


@pytest.fixture
def az(tmp_path: Path, azure: SimulatedAzure) -> Iterator[RecordingAz]:
    with recording_az(tmp_path / "bin", azure) as recording:
        yield recording


@pytest.fixture
def environ(tmp_path: Path, az: RecordingAz) -> dict[str, str]:
    """Variables of the verbs' processes: no workflow, and the target."""
    hidden = ("GITHUB_", "ACTIONS_", "AZURE_", "SYSTEM_", "TF_BUILD")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    outputs = {"GITHUB_OUTPUT": str(tmp_path / "outputs"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    return {
        **inherited,
        **TARGET,
        **outputs,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a verb in the folder of the test."""

    def call(*arguments: str | Path, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*CD, *map(str, arguments)],
            cwd=tmp_path,
            env=environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call


@pytest.fixture
def cd(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Run a verb to its end, in this process, which saves half a second each time. `az` is a process."""

    def call(*arguments: str | Path, **variables: str) -> Done:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["cd", *map(str, arguments)])
            for name in os.environ.keys() - environ.keys():
                patch.delenv(name)
            for name, value in {**environ, **variables}.items():
                patch.setenv(name, value)
            handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            with pytest.raises(SystemExit) as ended:
                main()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Done(ended.value.code if isinstance(ended.value.code, int) else 0, *capfd.readouterr())

    return call


@pytest.fixture
def outputs(tmp_path: Path) -> Callable[[], dict[str, str]]:
    """Outputs of the step: of several with the same name, the last one."""

    def read() -> dict[str, str]:
        path = tmp_path / "outputs"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split("=", 1) for line in lines)

    return read


BUNDLE = """\
type: pipeline
display_name: small
inputs:
  seed: 1
outputs:
  evaluation: {type: uri_folder}
jobs: {}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder that is a bundle, as far as a verb reads one."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "pipeline.yml").write_text(BUNDLE)
    return folder


@pytest.fixture
def train(cd: Run, bundle: Path) -> Run:
    """Run `train` without delays."""

    def call(*arguments: Any, verb: str = "train", **variables: str) -> Done:
        return cd(verb, "--job", bundle, "--poll", "0.02", *arguments, **variables)

    return call


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)


@pytest.fixture
def oidc() -> Iterator[OidcServer]:
    """The service that issues OIDC tokens to a workflow."""
    with oidc_server() as server:
        yield server
