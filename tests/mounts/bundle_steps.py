"""Run the nodes of a bundle as processes, with the command lines that Azure ML runs, on folders of the caller."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Data, JobOutput, Node, OutputSetting, PipelineInput

BUNDLE = "bundle"
LONGEST_S = 240

# Adds to a command what runs it elsewhere, as in another mount namespace.
Wrap = Callable[..., list[str]]


class BundleSteps:
    """Nodes of a bundle, with the folders of one job: `bundle`, `NODE/OUTPUT`, and those of outputs with an address.

    `wrap` changes each command. `environ` are variables of all processes.
    """

    def __init__(self, bundle: Path, environ: Mapping[str, str], wrap: Wrap = lambda *command: list(map(str, command))):
        self._pipeline = load_pipeline(bundle / "pipeline.yml")
        self._bundle, self._wrap = bundle.resolve(), wrap
        self._environ = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self, name: str, inputs: Path, outputs: Path, ports: Mapping[str, str] | None = None, **environ: str
    ) -> "subprocess.Popen[str]":
        """Start a node. `inputs` and `outputs` are two paths of the job's folder, `ports` replace values."""
        node = self._pipeline.nodes[name]
        values = {**self._inputs(node, inputs), **_outputs(node, outputs), **(ports or {})}
        command = shlex.split(render(node.component.command, values))
        assert command[:2] == ["python", "-m"]
        process = subprocess.Popen(
            self._wrap(sys.executable, *command[1:]),
            env={**self._environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill the processes that still run, as those of a test that failed."""
        for process in self._started:
            with process:
                process.kill()

    def _inputs(self, node: Node, folder: Path) -> dict[str, str | Path]:
        values: dict[str, str | Path] = {}
        for name, port in node.component.inputs.items():
            value = node.inputs.get(name)
            if isinstance(value, PipelineInput):
                value = self._pipeline.inputs[value.name]
            if isinstance(value, Data):
                values[f"inputs.{name}"] = folder / BUNDLE / value.local.resolve().relative_to(self._bundle)
            elif isinstance(value, JobOutput):
                values[f"inputs.{name}"] = folder / value.node / value.name
            elif (scalar := port.default if value is None else value) is not None:
                values[f"inputs.{name}"] = str(scalar)
        return values


def _outputs(node: Node, folder: Path) -> dict[str, str | Path]:
    return {f"outputs.{name}": folder / _output(node, name, setting) for name, setting in node.outputs.items()}


def _output(node: Node, name: str, setting: OutputSetting) -> str:
    """The folder of an output. One with an address is shared by all jobs."""
    return setting.path.rstrip("/").rpartition("/")[2] if setting.path else f"{node.name}/{name}"


def finish(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """Wait for the processes of a node; fails with what they printed."""
    outputs = [process.communicate(timeout=LONGEST_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(outputs)
