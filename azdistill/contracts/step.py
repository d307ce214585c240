"""Declaration of a step: its config model, its ports, and the command line that carries both.

A scalar config field is a flag (`--learning-rate 2e-5`). A nested field, or free text inside a model, is a small JSON
file named after the field (`--teachers inputs/teachers.json`), because Azure ML inserts literals into a shell command.
component.yml, argv and `--help` derive from this declaration.
"""

import argparse
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.problems import problems_of

PortType = Literal["uri_file", "uri_folder", "mltable", "custom_model"]
EnvironmentName = Literal["cpu", "gpu", "vllm"]
SCALARS: tuple[type, ...] = (bool, int, float, str)


class StepConfig(BaseModel):
    """Base of the config models: immutable, and an unknown field is an error."""

    # A command imports many models and uses few: `defer_build` builds the validator of a class at its first use.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False, defer_build=True
    )


class RunInput:
    """Marks a config field as an input of the pipeline: `num_epochs: Annotated[float, RunInput()]`.

    A dry run, `az ml job create --set inputs.NAME=VALUE` and a sweep change inputs of a compiled pipeline. Every other
    field is a literal of its node: `azdistill run job.yaml --set SECTION.FIELD=VALUE` compiles the job again.
    """


def is_run_input(info: FieldInfo) -> bool:
    return any(isinstance(item, RunInput) for item in info.metadata)


Config = TypeVar("Config", bound=StepConfig)


@dataclass(frozen=True)
class Port:
    """One input or output of a step. `mode` and `path` are copied into the pipeline.

    With mode `direct` a step gets the address of an input (`azureml://...`) instead of a mounted copy. In a local run
    the address is a path.
    """

    type: PortType
    description: str
    optional: bool = False
    mode: str | None = None
    path: str | None = None

    @property
    def is_address(self) -> bool:
        return self.mode == "direct"


@dataclass(frozen=True)
class Step(Generic[Config]):
    """A step of the pipeline. Its module is `azdistill.steps.<name>`.

    `environment` is the folder in environments/ with the packages of the step.
    A step that is not `deterministic` runs again in every job, also when its inputs have not changed. A `variant` of a
    step has other ports and code, for jobs that need them: its module is `azdistill.steps.<name>_<variant>`.
    """

    name: str
    description: str
    config: type[Config]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    environment: EnvironmentName = "cpu"
    deterministic: bool = True
    variant: str = ""

    @property
    def needs_gpu(self) -> bool:
        return self.environment != "cpu"

    @property
    def qualified_name(self) -> str:
        """The name with that of the variant, as in the names of components and modules."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    @property
    def module(self) -> str:
        return f"azdistill.steps.{self.qualified_name}"


@dataclass(frozen=True)
class Arguments(Generic[Config]):
    """A parsed command line: the config, and the path of each port. Absent optional ports have no entry.

    `addresses` are the inputs with mode `direct`, as they are: a path would lose slashes of a URI.
    """

    config: Config
    inputs: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


def scalar_type(info: FieldInfo) -> type | None:
    """bool, int, float or str for a field that is a flag, None for one that is a JSON file."""
    options: list[Any] = [info.annotation]
    if typing.get_origin(info.annotation) in (typing.Union, types.UnionType):
        options = [arg for arg in typing.get_args(info.annotation) if arg is not type(None)]
    if len(options) != 1:
        return None
    if typing.get_origin(options[0]) is Literal:
        return str
    return next((kind for kind in SCALARS if kind is options[0]), None)


def flag(name: str) -> str:
    """`--learning-rate` for `learning_rate`."""
    return "--" + name.replace("_", "-")


def parse(step: Step[Config], argv: Sequence[str]) -> Arguments[Config]:
    """Parse the command line of a step. Raises InputError for an unknown flag or a wrong value."""
    texts = {name: text for name, text in vars(_parser(step).parse_args(argv)).items() if text is not None}
    fields = step.config.model_fields
    values = {
        name: texts[name] if scalar_type(info) else read_json(Path(texts[name]))
        for name, info in fields.items()
        if name in texts
    }
    try:
        config = step.config.model_validate(values)
    except ValidationError as error:
        raise InputError(problems=problems_of(error, subject=f"step {step.name}")) from None
    return Arguments(
        config,
        {name: Path(texts[name]) for name, port in step.inputs.items() if name in texts and not port.is_address},
        {name: Path(texts[name]) for name in step.outputs if name in texts},
        {name: texts[name] for name, port in step.inputs.items() if name in texts and port.is_address},
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        command = f"{self.prog} --help"
        raise InputError(message, code="invalid_arguments", subject=self.prog, fix="see", command=command)


def _parser(step: Step[Any]) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"python -m {step.module}", description=step.description, allow_abbrev=False)
    ports = parser.add_argument_group("files")
    for name, port in {**step.inputs, **step.outputs}.items():
        ports.add_argument(flag(name), required=not port.optional, metavar=port.type.upper(), help=port.description)
    options = parser.add_argument_group("config")
    for name, info in step.config.model_fields.items():
        type = scalar_type(info)
        metavar = "JSON_FILE" if type is None else type.__name__.upper()
        default = "" if info.is_required() else f" (default: {info.get_default(call_default_factory=True)!r})"
        text = f"{info.description or ''}{default}".replace("%", "%%")
        options.add_argument(flag(name), dest=name, metavar=metavar, required=info.is_required(), help=text)
    return parser
