"""Resolve the ports of a node to paths of this machine, and compute its reuse key."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from azdistill.engine.errors import InputError, PipelineError
from azdistill.engine.local.data import find_copy, without_query
from azdistill.engine.local.downloads import is_downloaded, is_url
from azdistill.engine.local.environments import Environments
from azdistill.engine.local.hashing import FileHashes, combine
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.records import MAX_LISTED_FILES, ReuseKey, without_secret
from azdistill.engine.local.snapshots import snapshot_hashes
from azdistill.engine.local.storage import (
    DEFAULT_DATASTORE,
    data_option,
    input_path,
    is_shared,
    local_path,
    output_path,
)
from azdistill.engine.pipeline.expressions import InputText, JobOutput, PipelineInput, required_names
from azdistill.engine.pipeline.flatten import SEPARATOR
from azdistill.engine.pipeline.model import Data, Environment, Node, OutputSetting, Pipeline, Scalar
from azdistill.engine.pipeline.parallel import reuse_settings
from azdistill.engine.pipeline.run_settings import process_layout
from azdistill.engine.pipeline.snapshots import Snapshot, snapshot_of
from azdistill.engine.problems import FieldPath, Problem


@dataclass(frozen=True)
class HashedPath:
    """An input or output: its path, the hash of its content, and the hash of each file in it by name."""

    path: Path
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)


# Outputs that nodes have written, by node and output name.
NodeOutputs = Mapping[tuple[str, str], HashedPath]


@dataclass(frozen=True)
class ResolvedNode:
    """A node ready to run or to be reused.

    `ports` are the values of the expressions in its command, such as `inputs.rows`. `code` is its
    snapshot.
    """

    ports: Mapping[str, str | Path]
    key: ReuseKey
    outputs: Mapping[str, Path]
    settings: Mapping[str, str]
    code: Snapshot
    inputs: Mapping[str, HashedPath] = field(default_factory=dict)


class Resolver:
    """Resolves the nodes of one pipeline in one run folder."""

    def __init__(
        self, pipeline: Pipeline, folder: Path, options: RunOptions, environments: Environments, hashes: FileHashes
    ) -> None:
        self.pipeline, self.folder, self.options, self.hashes = pipeline, folder, options, hashes
        self._environments = environments
        self.run_name, self._datastore = folder.resolve().name, _default_datastore(pipeline)
        self._read = {value for node in pipeline.nodes.values() for value in node.inputs.values()}

    def check(self) -> None:
        """Raises PipelineError with every input that this machine does not have, every optional one that a command
        needs, and every output whose path is not inside its datastore."""
        problems = dict.fromkeys((*self._input_problems(), *self._value_problems(), *self._output_problems()))
        if problems:
            raise PipelineError(problems=list(problems))

    def downloads(self, nodes: Iterable[Node]) -> dict[str, tuple[str, Path]]:
        """Inputs of these nodes that must be downloaded: field -> address and path."""
        return {
            ".".join(self._field(node, name)): (data.path, path)
            for node in nodes
            for name, data in self._data_inputs(node)
            if (path := self._missing_download(data)) is not None
        }

    def resolve(self, node: Node, produced: NodeOutputs) -> ResolvedNode:
        """The ports and the reuse key of `node`, once all its inputs are produced."""
        code = snapshot_of(node.component.code, node.component.folder, node.component.includes, self.hashes.excluded)
        values, files = self._definition(node, code)
        ports: dict[str, str | Path] = {}
        inputs: dict[str, HashedPath] = {}
        for name in node.component.inputs:
            value = self._input_value(node, name)
            if isinstance(value, (Data, JobOutput)):
                data = inputs[name] = self._input_data(node, name, value, produced)
                ports[f"inputs.{name}"] = data.path
                values[f"input {name}"], files[f"input {name}"] = data.digest, data.files
            elif value is not None:
                ports[f"inputs.{name}"] = values[f"parameter {name}"] = str(value)
        outputs = self.outputs(node)
        ports |= {f"outputs.{name}": path for name, path in outputs.items()}
        listed = {label: digests for label, digests in files.items() if len(digests) <= MAX_LISTED_FILES}
        settings = {name: json.dumps(value, sort_keys=True, default=str) for name, value in node.settings.items()}
        values = {label: without_secret(label, value) for label, value in values.items()}
        return ResolvedNode(ports, ReuseKey(values, listed), outputs, settings, code, inputs)

    def job_name(self, node: Node) -> str:
        """`${{name}}`, which on Azure ML is the name of the node's own job."""
        return f"{self.run_name}-{node.name.replace(SEPARATOR, '-')}"

    def outputs(self, node: Node) -> dict[str, Path]:
        """The path of each output: in the node's folder, or at its address."""
        node_folder = self.folder.absolute() / node.name
        return {
            name: output_path(setting, self.options.home, self._expressions(node, name)) or node_folder / name
            for name, setting in node.outputs.items()
        }

    def is_shared(self, node: Node, output: str) -> bool:
        """True if all runs share an output because its address is fixed. It is neither cleared nor compared."""
        return is_shared(node.outputs[output], self._expressions(node, output))

    def shared_outputs(self) -> Iterator[Path]:
        """The paths of the outputs that all runs share."""
        for node in self.pipeline.nodes.values():
            yield from (path for name, path in self.outputs(node).items() if self.is_shared(node, name))

    def is_read(self, node: Node, output: str) -> bool:
        """True if another node reads an output."""
        return JobOutput(node.name, output) in self._read

    def hash_output(self, node: Node, output: str, path: Path) -> HashedPath:
        """An output with its current content. A shared output can be large: it is hashed only when a node reads it."""
        if self.is_shared(node, output) and not self.is_read(node, output):
            return HashedPath(path, "shared")
        return self._hash(path)

    def remote_inputs(self, node: Node) -> Iterator[str]:
        """Names of inputs with an address, whose content Azure ML takes as unchanged."""
        yield from (name for name, data in self._data_inputs(node) if data.is_remote)

    def _input_problems(self) -> Iterator[Problem]:
        for node in self.pipeline.nodes.values():
            for name, data in self._data_inputs(node):
                try:
                    self._check_input(data, self._field(node, name))
                except PipelineError as error:
                    yield from error.problems

    def _value_problems(self) -> Iterator[Problem]:
        """Optional inputs that have no value in this run, and are not inside of `$[[ ]]`."""
        for node in self.pipeline.nodes.values():
            parallel, searched = node.component.parallel, node.sweep.space if node.sweep else {}
            required = required_names(parallel.arguments if parallel else node.component.command)
            for name in node.component.inputs:
                if f"inputs.{name}" in required and name not in searched and self._input_value(node, name) is None:
                    yield self._missing_value(node, name)

    def _missing_value(self, node: Node, name: str) -> Problem:
        field = self._field(node, name)
        return Problem(
            code="missing_value",
            message=f"the command of {node.name} needs its value: it is not inside of $[[ ]]",
            fix=f"set it with --set inputs.{field[1]}=VALUE" if field[0] == "inputs" else "give it a value",
            field=field,
            file=self.pipeline.path,
            line=self.pipeline.document.line(field),
            refused_by=("engine",),
        )

    def _check_input(self, data: Data, path: FieldPath) -> None:
        file, line = self.pipeline.path, self.pipeline.document.line(path)
        if self._missing_download(data) is None:
            local_path(data, self.options.home, self.options.data, path, file, line)
        elif data.type in ("uri_folder", "mltable"):
            message = f"an http address is one file, but the input is a {data.type}"
            fix, value = f"add {data_option(data.path)}", without_query(data.path)
            raise PipelineError(message, fix=fix, field=path, value=value, file=file, line=line)

    def _output_problems(self) -> Iterator[Problem]:
        for node in self.pipeline.nodes.values():
            for name, setting in node.outputs.items():
                try:
                    output_path(setting, self.options.home, self._expressions(node, name))
                except InputError as error:
                    path = (*self._job_field(node), "outputs", name)
                    file, line = self.pipeline.path, self.pipeline.document.line(path)
                    for problem in error.problems:
                        yield replace(problem, subject="", field=path, value=setting.path, file=file, line=line)

    def _missing_download(self, data: Data) -> Path | None:
        """The path that an input must be downloaded to; None when it is no URL, or is here already."""
        if not is_url(data.path) or find_copy(data.path, self.options.data):
            return None
        path = input_path(data, self.options.home, self.options.data)
        return path if path and not is_downloaded(path) else None

    def _data_inputs(self, node: Node) -> Iterator[tuple[str, Data]]:
        for name in node.component.inputs:
            value = self._input_value(node, name)
            if isinstance(value, Data):
                yield name, value

    def _input_value(self, node: Node, name: str) -> Scalar | Data | JobOutput | None:
        value = node.inputs.get(name)
        if isinstance(value, PipelineInput):
            value = self.pipeline.inputs[value.name]
        if isinstance(value, InputText):
            return self._text(value)
        return node.component.inputs[name].default if value is None else value

    def _text(self, text: InputText) -> str:
        """The text with the values of its inputs, which are literals."""
        values = (self.pipeline.inputs[part.name] if isinstance(part, PipelineInput) else part for part in text.parts)
        return "".join(self._text(value) if isinstance(value, InputText) else str(value) for value in values)

    def _field(self, node: Node, name: str) -> tuple[str, ...]:
        """The field that gives an input its value."""
        value = node.inputs.get(name)
        if isinstance(value, PipelineInput):
            return "inputs", value.name
        return *self._job_field(node), "inputs", name

    def _job_field(self, node: Node) -> tuple[str, ...]:
        """The field with the job of a node, which may be in a component of the pipeline."""
        outer, *inner = node.name.split(SEPARATOR)
        return *self.pipeline.field_of(outer), *inner

    def _expressions(self, node: Node, output: str) -> Mapping[str, str]:
        """The values of the expressions in an output's address."""
        return {"name": self.job_name(node), "default_datastore": self._datastore, "output_name": output}

    def _definition(self, node: Node, code: Snapshot) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
        """The part of the reuse key that does not depend on inputs: values and file hashes by label."""
        component = node.component
        files: dict[str, Mapping[str, str]] = {
            "code": snapshot_hashes(code, self.hashes),
            "environment": self._environment_files(component.environment),
        }
        values = {label: combine(digests) for label, digests in files.items()} | {"command": component.command}
        if processes := process_layout(node.settings):
            values["processes"] = f"{processes.instances} x {processes.per_instance} {processes.kind}"
        if component.parallel:
            values |= {f"setting {name}": value for name, value in reuse_settings(component.parallel)}
            faults = self.options.faults
            if faults.duplicates:
                values["setting duplicates"] = f"{faults.duplicates} by seed {faults.seed}"
        if node.sweep:
            values |= {f"setting {name}": value for name, value in node.sweep.definition()}
        if interpreter := self._environments.interpreter(node.name):
            values["interpreter"] = interpreter.identity
        values |= {f"variable {name}": value for name, value in node.variables.items()}
        values |= {f"output {name}": _describe(setting) for name, setting in node.outputs.items()}
        return values, files

    def _environment_files(self, environment: Environment) -> dict[str, str]:
        digests = {"its definition": hashlib.sha256(environment.text.encode()).hexdigest()}
        for path in environment.files:
            digests |= self.hashes.tree_files(path)
        return digests

    def _input_data(self, node: Node, name: str, value: Data | JobOutput, produced: NodeOutputs) -> HashedPath:
        if isinstance(value, JobOutput):
            return produced[value.node, value.name]
        return self._hash(local_path(value, self.options.home, self.options.data, self._field(node, name)))

    def _hash(self, path: Path) -> HashedPath:
        digests = self.hashes.tree_files(path)
        return HashedPath(path, digests[path.name] if path.is_file() else combine(digests), digests)


def _default_datastore(pipeline: Pipeline) -> str:
    settings = pipeline.document.value.get("settings")
    value = settings.get("default_datastore") if isinstance(settings, Mapping) else None
    match = re.fullmatch(r"(?:azureml:)?([\w-]+)", value) if isinstance(value, str) else None
    return match[1] if match else DEFAULT_DATASTORE


def _describe(setting: OutputSetting) -> str:
    return " ".join(filter(None, (setting.type, setting.mode, setting.path)))
