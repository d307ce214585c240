"""Data model of a pipeline file and its components."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azdistill.engine.pipeline.expressions import InputText, JobOutput, PipelineInput
from azdistill.engine.pipeline.sweeps import Sweep
from azdistill.engine.problems import Problem
from azdistill.engine.yaml_document import Document

Scalar = str | int | float | bool

# `path` is an older name for a file or a folder.
DATA_TYPES = ("uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model", "path")
LITERAL_TYPES = ("string", "integer", "number", "boolean")

# Type of a port that declares none: it accepts everything.
ANY = "any"

# `azureml:`, `azureml://`, `https://`; a single letter is a drive. The client also takes the id of an asset in Azure
# Resource Manager without `azureml:`.
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:|/subscriptions/[^/]+/resourceGroups/", re.IGNORECASE)


@dataclass(frozen=True)
class InputPort:
    """An input that a component declares. Bounds and options apply to literals."""

    type: str
    optional: bool = False
    default: Scalar | None = None
    minimum: float | None = None
    maximum: float | None = None
    options: tuple[Scalar, ...] = ()

    @property
    def is_data(self) -> bool:
        return self.type in DATA_TYPES

    @property
    def required(self) -> bool:
        return not self.optional and self.default is None


@dataclass(frozen=True)
class Data:
    """A file or folder as the value of an input. `path` is the text of the file, relative to the folder `base`."""

    type: str
    path: str
    base: Path

    @property
    def is_remote(self) -> bool:
        return bool(_ADDRESS.match(self.path)) and not self.path.startswith("file:")

    @property
    def local(self) -> Path:
        return self.base / self.path.removeprefix("file:")


# Value of a node's input: a literal, a file or folder, a reference to an input or output, or text with such inputs.
Value = Scalar | Data | PipelineInput | InputText | JobOutput


@dataclass(frozen=True)
class OutputSetting:
    """Type, mode and path of an output.

    `path` is an address, shared by all runs unless it contains `${{name}}`. None is a new path in every run.
    """

    type: str
    mode: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Environment:
    """The environment of a command on Azure ML.

    The local engine runs the command in a Python environment of this machine; results are reused while `text` (the
    definition) and the content of `files` stay the same. `name` identifies it: an `azureml:` address, or NAME or
    NAME:VERSION of the definition. `conda` (a file, or an inline mapping) and `build` (a folder) say what to install.
    """

    text: str
    files: tuple[Path, ...] = ()
    name: str = ""
    conda: Path | Mapping[str, Any] | None = None
    build: Path | None = None


@dataclass(frozen=True)
class Parallel:
    """Settings of a parallel job.

    The data of `input` is split into mini-batches of `size` files; of about `size` bytes of a table where `in_bytes`
    is set; or by the values of `partition_keys`. The function `run` of `entry_script` gets one mini-batch at a time.

    `append_to` is the output that collects the returned rows. `item_errors` and `batch_errors` are how many failures
    are allowed, -1 for any number. `concurrency` is the number of processes per instance, None for one per core.
    """

    input: str | None = None
    size: int | None = None
    in_bytes: bool = False
    partition_keys: tuple[str, ...] = ()
    entry_script: str = ""
    arguments: str = ""
    append_to: str | None = None
    item_errors: int = -1
    batch_errors: int = -1
    retries: int = 2
    timeout: int = 60
    concurrency: int | None = None
    logging_level: str = "INFO"


@dataclass(frozen=True)
class Component:
    """The component that a node runs. `code` and `includes` make its snapshot; `folder` contains its file.

    Only a command component has a `command`, only a pipeline component a `pipeline`. `ports_known` is False for a
    component that is registered on Azure ML, that is of a kind without declared ports, or that could not be read.
    """

    name: str
    folder: Path
    kind: str = "command"
    command: str = ""
    inputs: Mapping[str, InputPort] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    environment: Environment = Environment("")
    code: Path | None = None
    includes: tuple[Path, ...] = ()
    deterministic: bool = True
    ports_known: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    pipeline: "Pipeline | None" = None
    parallel: Parallel | None = None


@dataclass(frozen=True)
class Node:
    """One job of a pipeline: a component, the values of its inputs, and its outputs.

    `promoted` maps outputs to the pipeline outputs they are bound to. `variables` are environment variables.
    `settings` are where and how it runs on Azure ML: compute, resources, identity and so on. The component of a sweep
    is its trial.
    """

    name: str
    component: Component
    inputs: Mapping[str, Value]
    outputs: Mapping[str, OutputSetting]
    promoted: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    sweep: Sweep | None = None

    def upstream(self) -> set[str]:
        """Names of the nodes whose outputs this node reads."""
        return {value.node for value in self.inputs.values() if isinstance(value, JobOutput)}


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file with its components, and the problems found while reading them.

    `inputs` are values. `ports` are declarations, where an input has one: a component declares inputs, a job gives
    them values. `is_component`: the file declares a component and runs nothing alone. `is_single`: the file has one
    job or component, and no `jobs`.
    """

    document: Document
    inputs: Mapping[str, Scalar | Data | None]
    ports: Mapping[str, InputPort]
    outputs: Mapping[str, OutputSetting]
    nodes: Mapping[str, Node]
    force_rerun: bool = False
    continue_on_step_failure: bool = False
    problems: tuple[Problem, ...] = ()
    is_component: bool = False
    is_single: bool = False

    def field_of(self, node: str) -> tuple[str, ...]:
        """The field of the file with the job of a node. A file of one job or component is this job itself."""
        return () if self.is_single else ("jobs", node)

    @property
    def path(self) -> Path:
        return self.document.path

    @property
    def default_compute(self) -> Any:
        """The compute of the nodes that name none."""
        settings = self.document.value.get("settings")
        default = settings.get("default_compute") if isinstance(settings, Mapping) else None
        return self.document.value.get("compute") or default
