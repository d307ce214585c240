"""What a node's ports are on this machine, and the key for reuse."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from azdistill.contracts.errors import PipelineError
from azdistill.local.hashing import Hashes, total
from azdistill.local.records import MOST_PARTS, Key
from azdistill.local.snapshots import snapshot
from azdistill.local.storage import local_path, shared_path
from azdistill.pipeline.documents import Data, Environment, Node, OutputSetting, Pipeline, Scalar
from azdistill.pipeline.expressions import JobOutput, PipelineInput
from azdistill.pipeline.run_settings import shape


@dataclass(frozen=True)
class Produced:
    """A finished output: where it lies, the hash of its content and of each file in it."""

    path: Path
    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """A node ready to run or to be reused. `ports` are what its command may name, such as `inputs.rows`; `code` is
    its snapshot."""

    ports: Mapping[str, str | Path]
    key: Key
    outputs: Mapping[str, Path]
    settings: Mapping[str, str]
    code: dict[str, Path]


class Resolver:
    """Turns ports into paths and hashes, for one pipeline in one run folder."""

    def __init__(self, pipeline: Pipeline, folder: Path, home: Path, hashes: Hashes) -> None:
        self.pipeline, self.folder, self.home, self.hashes = pipeline, folder, home, hashes
        self._read = {value for node in pipeline.nodes.values() for value in node.inputs.values()}

    def check_data(self) -> None:
        """Raises PipelineError for every file or folder that a node needs and this machine doesn't have."""
        if problems := list(dict.fromkeys(self._absent())):
            raise PipelineError("\n".join(f"{self.pipeline.path}: {problem}" for problem in problems))

    def resolve(self, node: Node, produced: Mapping[tuple[str, str], Produced]) -> Resolved:
        """The ports and key of `node`, once all it reads is produced."""
        code = snapshot(node.component)
        values, parts = self._definition(node, code)
        ports: dict[str, str | Path] = {}
        for name in node.component.inputs:
            given = self._given(node, name)
            if isinstance(given, (Data, JobOutput)):
                found = self._data(node, name, given, produced)
                ports[f"inputs.{name}"] = found.path
                values[f"input {name}"], parts[f"input {name}"] = found.digest, found.parts
            elif given is not None:
                ports[f"inputs.{name}"] = values[f"parameter {name}"] = str(given)
        outputs = self.outputs(node)
        ports |= {f"outputs.{name}": path for name, path in outputs.items()}
        few = {label: files for label, files in parts.items() if len(files) <= MOST_PARTS}
        return Resolved(ports, Key(values, few), outputs, _texts(node.settings), code)

    def outputs(self, node: Node) -> dict[str, Path]:
        """Where each output goes: a place of its own in the node's folder, or the fixed address it is given."""
        own = self.folder.absolute() / node.name
        return {name: shared_path(setting, self.home) or own / name for name, setting in node.outputs.items()}

    def is_shared(self, setting: OutputSetting) -> bool:
        """An output at a fixed address belongs to all runs: it is neither cleared nor compared."""
        return shared_path(setting, self.home) is not None

    def is_read(self, node: Node, output: str) -> bool:
        return JobOutput(node.name, output) in self._read or output in node.promoted

    def produced(self, node: Node, output: str, path: Path) -> Produced:
        """An output as it lies there now. A shared one can be large, so it counts only when a node reads it."""
        if self.is_shared(node.outputs[output]) and JobOutput(node.name, output) not in self._read:
            return Produced(path, "shared")
        return self._hashed(path)

    def mutable_inputs(self, node: Node) -> Iterator[str]:
        """Inputs at an address, which Azure ML takes as unchanged whatever lies there."""
        for name in node.component.inputs:
            given = self._given(node, name)
            if isinstance(given, Data) and given.is_remote:
                yield name

    def _absent(self) -> Iterator[str]:
        for node in self.pipeline.nodes.values():
            for name in node.component.inputs:
                given = self._given(node, name)
                if isinstance(given, Data):
                    try:
                        local_path(given, self.home, self._field(node, name))
                    except PipelineError as problem:
                        yield str(problem)

    def _given(self, node: Node, name: str) -> Scalar | Data | JobOutput | None:
        given = node.inputs.get(name)
        if isinstance(given, PipelineInput):
            given = self.pipeline.inputs[given.name]
        return node.component.inputs[name].default if given is None else given

    def _field(self, node: Node, name: str) -> str:
        given = node.inputs.get(name)
        return f"inputs.{given.name}" if isinstance(given, PipelineInput) else f"jobs.{node.name}.inputs.{name}"

    def _definition(self, node: Node, code: dict[str, Path]) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
        part = node.component
        parts: dict[str, Mapping[str, str]] = {
            "code": self.hashes.files(code.items()),
            "environment": self._image(part.environment),
        }
        values = {label: total(files) for label, files in parts.items()} | {"command": part.command}
        if processes := shape(node.settings):
            values["processes"] = f"{processes.instances} x {processes.each} {processes.kind}"
        values |= {f"variable {name}": value for name, value in node.variables.items()}
        values |= {f"output {name}": _setting(setting) for name, setting in node.outputs.items()}
        return values, parts

    def _image(self, environment: Environment) -> dict[str, str]:
        found = {"its definition": hashlib.sha256(environment.text.encode()).hexdigest()}
        for path in environment.files:
            found |= self.hashes.parts(path)
        return found

    def _data(
        self, node: Node, name: str, given: Data | JobOutput, produced: Mapping[tuple[str, str], Produced]
    ) -> Produced:
        if isinstance(given, JobOutput):
            return produced[given.node, given.name]
        return self._hashed(local_path(given, self.home, self._field(node, name)))

    def _hashed(self, path: Path) -> Produced:
        parts = self.hashes.parts(path)
        return Produced(path, parts[path.name] if path.is_file() else total(parts), parts)


def _setting(setting: OutputSetting) -> str:
    return " ".join(filter(None, (setting.type, setting.mode, setting.path)))


def _texts(settings: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in settings.items()}
