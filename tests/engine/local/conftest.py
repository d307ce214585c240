"""Small pipelines of shell commands, run by the engine as real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.local.engine import explain, run_pipeline
from azdistill.engine.local.results import Explanation, RunResult


class Project:
    """A pipeline file and its other files, a run folder and a home, in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder, self.home = root / "run", root / "home"

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def pipeline(self) -> Path:
        return self.root / "pipeline.yml"

    def run(self, **options: Any) -> RunResult:
        return run_pipeline(self.pipeline, options.pop("folder", self.folder), home=self.home, **options)

    def explain(self, inputs: Mapping[str, str] | None = None, **options: Any) -> dict[str, Explanation]:
        explanations = explain(self.pipeline, self.folder, inputs=inputs or {}, home=self.home, **options)
        return {explanation.node: explanation for explanation in explanations}

    def states(self, **options: Any) -> dict[str, str]:
        return {name: node.state for name, node in self.run(**options).nodes.items()}

    def text(self, node: str, output: str = "out") -> str:
        return (self.folder / node / output).read_text(encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the engine in its own process, as a terminal does."""
        return subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(self.pipeline), str(self.folder), str(self.home), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


ENGINE = """
import sys
from pathlib import Path
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.local.engine import run_pipeline
pipeline, folder, home = map(Path, sys.argv[1:4])
grace = float(sys.argv[4]) if len(sys.argv) > 4 else 10.0
try:
    result = run_pipeline(pipeline, folder, home=home, grace=grace)
    result.check()
except AzdistillError as problem:
    print(problem)
    sys.exit(problem.exit_code)
"""

CHAIN = """
inputs:
  rows: {type: uri_file, path: ./rows.txt}
  times: 2
outputs:
  result: {type: uri_file}
jobs:
  first:
    type: command
    component: ./parts/copy/component.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
  second:
    type: command
    component: ./parts/repeat/component.yml
    inputs: {rows: "${{parent.jobs.first.outputs.out}}", times: "${{parent.inputs.times}}"}
    outputs: {out: "${{parent.outputs.result}}"}
"""

COPY = """
type: command
name: copy
inputs: {rows: {type: uri_file}}
outputs: {out: {type: uri_file}}
code: ./code
environment: file:../../environment.yml
command: sh copy.sh ${{inputs.rows}} ${{outputs.out}}
"""

REPEAT = """
type: command
name: repeat
inputs: {rows: {type: uri_file}, times: {type: integer, min: 1, max: 9}}
outputs: {out: {type: uri_file}}
command: for i in $(seq ${{inputs.times}}); do cat ${{inputs.rows}}; done > ${{outputs.out}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def chain(project: Project) -> Project:
    """Two nodes: copy a file with a script, then repeat its content."""
    project.write("pipeline.yml", CHAIN)
    project.write("rows.txt", "a\n")
    project.write("environment.yml", "image: ubuntu\nconda_file: conda.yml\n")
    project.write("conda.yml", "dependencies: [python]\n")
    project.write("parts/copy/component.yml", COPY)
    project.write("parts/copy/code/copy.sh", 'cp "$1" "$2"\n')
    project.write("parts/repeat/component.yml", REPEAT)
    return project


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(0.01)


def alive(mark: str) -> list[int]:
    """Ids of the processes whose command line contains `mark`."""
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _command_line(path)]


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def engines() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start engines that end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
        started.append(project.start(*arguments))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
