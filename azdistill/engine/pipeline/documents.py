"""A pipeline as data, as it was read and before anything is run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azdistill.engine.pipeline.expressions import JobOutput, PipelineInput
from azdistill.engine.pipeline.sweeps import Sweep
from azdistill.engine.problems import Problem
from azdistill.engine.yaml_document import Document

Scalar = str | int | float | bool

DATA_TYPES = ("uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model")
LITERAL_TYPES = ("string", "integer", "number", "boolean")
ANY = "any"
"""Of a port whose type isn't written: what it is bound to tells."""

_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:")
"""`azureml:`, `azureml://`, `https://`; a single letter is a drive."""


@dataclass(frozen=True)
class InputPort:
    """An input that a component declares. Bounds and options hold for literals."""

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
    """A file or folder given as an input: `path` as written, `base` the folder that it is relative to."""

    type: str
    path: str
    base: Path

    @property
    def is_remote(self) -> bool:
        return bool(_ADDRESS.match(self.path)) and not self.path.startswith("file:")

    @property
    def local(self) -> Path:
        return self.base / self.path.removeprefix("file:")


Value = Scalar | Data | PipelineInput | JobOutput
"""What an input is given: a literal, a file, or the output of something else."""


@dataclass(frozen=True)
class OutputSetting:
    """How an output is written. `path` is an address, which runs share unless `${{name}}` is in it; None is a place of
    this run alone."""

    type: str
    mode: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Environment:
    """What a command runs in on Azure ML. The local engine runs in its own interpreter's environment,
    and counts `text` (the definition) and the content of `files` for reuse.

    `name` is what it can be named by: an `azureml:` address, or NAME or NAME:VERSION of its definition. `conda` (a
    file, or a mapping in its place) and `build` (a folder) tell what to install.
    """

    text: str
    files: tuple[Path, ...] = ()
    name: str = ""
    conda: Path | Mapping[str, Any] | None = None
    build: Path | None = None


@dataclass(frozen=True)
class Parallel:
    """How a parallel job works: `input` is split into mini-batches of `size` files, or of about `size` bytes of a table
    where it is `in_bytes`, or by the values of `partition_keys`; a script's `run` gets one at a time.

    `append_to` is the output that collects what it returns. `item_errors` and `batch_errors` are how many may fail,
    all where -1. `concurrency` is how many processes an instance has, None for one a core.
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
    """What a node runs. `code` and `includes` make its snapshot; `folder` is where its file lies.

    Only a command has a `command`, only a pipeline component a `pipeline`. `closed` is False when its
    ports are not known here: it is registered on Azure ML, is of a kind that declares none, or could
    not be read.
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
    closed: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    pipeline: "Pipeline | None" = None
    parallel: Parallel | None = None


@dataclass(frozen=True)
class Node:
    """One job of a pipeline: a component, and what its ports are bound to.

    `settings` say where and how it runs on Azure ML: compute, resources, identity and such. A sweep's component is
    its trial.
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
        """Names of the nodes whose outputs it reads."""
        return {value.node for value in self.inputs.values() if isinstance(value, JobOutput)}


@dataclass(frozen=True)
class Pipeline:
    """A pipeline file with its components, and what was found wrong while reading them.

    `inputs` are values, `ports` the declarations of those that have one: a component declares, a job gives.
    """

    document: Document
    inputs: Mapping[str, Scalar | Data | None]
    ports: Mapping[str, InputPort]
    outputs: Mapping[str, OutputSetting]
    nodes: Mapping[str, Node]
    force_rerun: bool = False
    continue_on_step_failure: bool = False
    findings: tuple[Problem, ...] = ()
    is_component: bool = False

    @property
    def path(self) -> Path:
        return self.document.path
