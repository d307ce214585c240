"""Run the command `azdistill` in a temporary folder, and write small pipelines for it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from azdistill.cli.main import main

AZDISTILL = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]

JOB = """\
name: small
task: conversation
data:
  training_data: ./rows.jsonl
  test_data: ./test.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek
student:
  model: ./student
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the command, which also contains its home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZDISTILL_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def azdistill(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["azdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code if isinstance(ended.value.code, int) else 0, *capfd.readouterr())

    return call


@pytest.fixture
def start(folder: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start the command as a process."""

    def process(*arguments: str | Path, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*AZDISTILL, *map(str, arguments)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return process


@pytest.fixture
def job(folder: Path) -> Path:
    """A valid job file."""
    (folder / "student").mkdir()
    (folder / "student/config.json").write_text("{}")
    (folder / "student/tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    (folder / "student/model.safetensors").touch()
    for name, prompt in (("rows.jsonl", "Hi"), ("test.jsonl", "Hey")):
        (folder / name).write_text(json.dumps({"prompt": prompt, "completion": "Hello"}) + "\n")
    (folder / "job.yaml").write_text(JOB)
    return folder / "job.yaml"


Writer = Callable[..., Path]


@pytest.fixture
def pipeline(folder: Path) -> Writer:
    """Write a pipeline file as JSON, which is YAML: `nodes` are jobs by name, or only their commands."""

    def write(nodes: Mapping[str, Any], *, file: str = "pipeline.yml", **parts: Any) -> Path:
        jobs = {name: node if isinstance(node, dict) else command(node) for name, node in nodes.items()}
        (folder / file).parent.mkdir(exist_ok=True)
        document = {"type": "pipeline", "settings": {"default_compute": "serverless"}, "jobs": jobs, **parts}
        (folder / file).write_text(json.dumps(document, indent=2))
        return folder / file

    return write


def command(line: str, **parts: Any) -> dict[str, Any]:
    """A command job in a registered environment."""
    return {"type": "command", "command": line, "environment": "azureml:any:1", **parts}


def promoted(*names: str) -> dict[str, Any]:
    """Outputs of a job that are outputs of the pipeline under the same names."""
    return {name: f"${{{{parent.outputs.{name}}}}}" for name in names}


def folders(*names: str) -> dict[str, Any]:
    """The outputs of a pipeline."""
    return {name: {"type": "uri_folder"} for name in names}
