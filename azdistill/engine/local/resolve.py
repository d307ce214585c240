"""What a node's ports are on this machine, and the key for reuse."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from azdistill.engine.errors import PipelineError
from azdistill.engine.local.data import key_of, mapped
from azdistill.engine.local.downloads import is_download, is_here
from azdistill.engine.local.environments import Environments
from azdistill.engine.local.hashing import Hashes, total
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.records import MOST_PARTS, Key
from azdistill.engine.local.snapshots import snapshot
from azdistill.engine.local.storage import (
    DEFAULT_DATASTORE,
    as_option,
    local_path,
    misplaced,
    of_one_run,
    output_path,
    place,
)
from azdistill.engine.pipeline.expressions import JobOutput, PipelineInput
from azdistill.engine.pipeline.flatten import SEPARATOR
from azdistill.engine.pipeline.model import Data, Environment, Node, OutputSetting, Pipeline, Scalar
from azdistill.engine.pipeline.parallel import reuse_settings
from azdistill.engine.pipeline.run_settings import process_layout


@dataclass(frozen=True)
class Produced:
    """What a node reads or has written: where it lies, the hash of its content and of each file in it."""

    path: Path
    digest: str
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """A node ready to run or to be reused. `ports` are what its command may name, such as `inputs.rows`; `code` is
    its snapshot, `inputs` what it reads."""

    ports: Mapping[str, str | Path]
    key: Key
    outputs: Mapping[str, Path]
    settings: Mapping[str, str]
    code: dict[str, Path]
    inputs: Mapping[str, Produced] = field(default_factory=dict)


class Resolver:
    """Turns ports into paths and hashes, for one pipeline in one run folder."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, options: RunOptions, environments: Environments, hashes: Hashes
    ) -> None:
        self.pipeline, self.folder, self.options, self.hashes = pipeline, folder, options, hashes
        self._environments = environments
        self._run_name, self._datastore = folder.resolve().name, _default_datastore(pipeline)
        self._read = {value for node in pipeline.nodes.values() for value in node.inputs.values()}

    def check_data(self) -> None:
        """Raises PipelineError for every file or folder that a node needs and this machine doesn't have."""
        if problems := list(dict.fromkeys(self._absent())):
            raise PipelineError("\n".join(problems))

    def downloads(self, nodes: Iterable[Node]) -> dict[str, tuple[str, Path]]:
        """What these nodes read from http addresses and isn't on this machine yet: address and place, by the field."""
        return {
            self._field(node, name): (data.path, path)
            for node in nodes
            for name, data in self._data_of(node)
            if (path := self._to_download(data)) is not None
        }

    def resolve(self, node: Node, produced: Mapping[tuple[str, str], Produced]) -> Resolved:
        """The ports and key of `node`, once all it reads is produced."""
        code = snapshot(node.component)
        values, parts = self._definition(node, code)
        ports: dict[str, str | Path] = {}
        inputs: dict[str, Produced] = {}
        for name in node.component.inputs:
            given = self._given(node, name)
            if isinstance(given, (Data, JobOutput)):
                found = inputs[name] = self._data(node, name, given, produced)
                ports[f"inputs.{name}"] = found.path
                values[f"input {name}"], parts[f"input {name}"] = found.digest, found.parts
            elif given is not None:
                ports[f"inputs.{name}"] = values[f"parameter {name}"] = str(given)
        outputs = self.outputs(node)
        ports |= {f"outputs.{name}": path for name, path in outputs.items()}
        few = {label: files for label, files in parts.items() if len(files) <= MOST_PARTS}
        return Resolved(ports, Key(values, few), outputs, _texts(node.settings), code, inputs)

    def outputs(self, node: Node) -> dict[str, Path]:
        """Where each output goes: a place of its own in the node's folder, or the address it is given."""
        own = self.folder.absolute() / node.name
        return {
            name: output_path(setting, self.options.home, self._names(node, name)) or own / name
            for name, setting in node.outputs.items()
        }

    def _names(self, node: Node, output: str) -> Mapping[str, str]:
        """What an address of an output may hold. On Azure ML `${{name}}` is the name of the node's own job."""
        name = f"{self._run_name}-{node.name.replace(SEPARATOR, '-')}"
        return {"name": name, "default_datastore": self._datastore, "output_name": output}

    def is_shared(self, setting: OutputSetting) -> bool:
        """An output at a fixed address belongs to all runs: it is neither cleared nor compared."""
        names = {"name": "", "default_datastore": self._datastore, "output_name": ""}
        return not of_one_run(setting) and output_path(setting, self.options.home, names) is not None

    def shared(self) -> Iterator[Path]:
        """The places of outputs that belong to all runs."""
        for node in self.pipeline.nodes.values():
            places = self.outputs(node)
            yield from (places[name] for name, setting in node.outputs.items() if self.is_shared(setting))

    def is_read(self, node: Node, output: str) -> bool:
        return JobOutput(node.name, output) in self._read or output in node.promoted

    def produced(self, node: Node, output: str, path: Path) -> Produced:
        """An output as it lies there now. A shared one can be large, so it counts only when a node reads it."""
        if self.is_shared(node.outputs[output]) and JobOutput(node.name, output) not in self._read:
            return Produced(path, "shared")
        return self._hashed(path)

    def mutable_inputs(self, node: Node) -> Iterator[str]:
        """Inputs at an address, which Azure ML takes as unchanged whatever lies there."""
        yield from (name for name, data in self._data_of(node) if data.is_remote)

    def _absent(self) -> Iterator[str]:
        for node in self.pipeline.nodes.values():
            for name, data in self._data_of(node):
                field = self._field(node, name)
                if problem := self._problem(data):
                    line = self.pipeline.document.line(tuple(field.split(".")))
                    yield f"{self.pipeline.path}:{line}: {field}={key_of(data.path)!r}: {problem}"

    def _problem(self, data: Data) -> str | None:
        if self._to_download(data) is None:
            return misplaced(data, place(data, self.options.home, self.options.data))
        if data.type in ("uri_folder", "mltable"):
            return f"an http address is one file, and the input is a {data.type}; add {as_option(data.path)}"
        return None

    def _to_download(self, data: Data) -> Path | None:
        if not is_download(data.path) or mapped(data.path, self.options.data):
            return None
        path = place(data, self.options.home, self.options.data)
        return path if path and not is_here(path) else None

    def _data_of(self, node: Node) -> Iterator[tuple[str, Data]]:
        for name in node.component.inputs:
            given = self._given(node, name)
            if isinstance(given, Data):
                yield name, given

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
        if processes := process_layout(node.settings):
            values["processes"] = f"{processes.instances} x {processes.per_instance} {processes.kind}"
        if part.parallel:
            values |= {f"setting {name}": value for name, value in reuse_settings(part.parallel)}
            if self.options.faults.duplicates:
                values["setting duplicates"] = f"{self.options.faults.duplicates} by seed {self.options.faults.seed}"
        if node.sweep:
            values |= {f"setting {name}": value for name, value in node.sweep.definition()}
        if interpreter := self._environments.interpreter(node.name):
            values["interpreter"] = interpreter.identity
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
        return self._hashed(local_path(given, self.options.home, self._field(node, name), self.options.data))

    def _hashed(self, path: Path) -> Produced:
        parts = self.hashes.parts(path)
        return Produced(path, parts[path.name] if path.is_file() else total(parts), parts)


def _default_datastore(pipeline: Pipeline) -> str:
    settings = pipeline.document.value.get("settings")
    given = settings.get("default_datastore") if isinstance(settings, Mapping) else None
    found = re.fullmatch(r"(?:azureml:)?([\w-]+)", given) if isinstance(given, str) else None
    return found[1] if found else DEFAULT_DATASTORE


def _setting(setting: OutputSetting) -> str:
    return " ".join(filter(None, (setting.type, setting.mode, setting.path)))


def _texts(settings: Mapping[str, object]) -> dict[str, str]:
    return {name: json.dumps(value, sort_keys=True, default=str) for name, value in settings.items()}
