"""What a step is: its config model, its ports, and the arguments both travel in.

A scalar config field travels as a flag (`--learning-rate 2e-5`). A field that is
nested, or free text inside a model, travels as a small JSON file named after the
field (`--teachers inputs/teachers.json`), because Azure ML pastes literals into a
shell line. component.yml, argv and `--help` all derive from this.
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
from azdistill.contracts.problems import explain as explain

PortType = Literal["uri_file", "uri_folder", "custom_model"]
SCALARS: tuple[type, ...] = (bool, int, float, str)


class StepConfig(BaseModel):
    """Base of every section of the spec: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


Config = TypeVar("Config", bound=StepConfig)


@dataclass(frozen=True)
class Port:
    """One input or output of a step. `mode` and `path` of an output go into the pipeline as they are."""

    type: PortType
    description: str
    optional: bool = False
    mode: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class Step(Generic[Config]):
    """One step of the pipeline, as data. Its module is `azdistill.steps.<name>`."""

    name: str
    description: str
    config: type[Config]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    environment: Literal["cpu", "gpu"] = "cpu"

    @property
    def module(self) -> str:
        return f"azdistill.steps.{self.name}"


@dataclass(frozen=True)
class Arguments(Generic[Config]):
    """A parsed command line: the config, and where each port lies. Absent optional ports are left out."""

    config: Config
    inputs: Mapping[str, Path] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)


def scalar_type(info: FieldInfo) -> type | None:
    """bool, int, float or str for a field that travels as a flag, None for one that needs a file."""
    options: list[Any] = [info.annotation]
    if typing.get_origin(info.annotation) in (typing.Union, types.UnionType):
        options = [arg for arg in typing.get_args(info.annotation) if arg is not type(None)]
    if len(options) != 1:
        return None
    if typing.get_origin(options[0]) is Literal:
        return str
    return next((kind for kind in SCALARS if kind is options[0]), None)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def parse(step: Step[Config], argv: Sequence[str]) -> Arguments[Config]:
    """Parse a step's command line strictly: an unknown flag or a bad value is an InputError."""
    found = vars(_parser(step).parse_args(argv))
    given = {name: value for name, value in found.items() if value is not None}
    fields = step.config.model_fields
    values = {name: _value(fields[name], given[name]) for name in fields if name in given}
    try:
        config = step.config.model_validate(values)
    except ValidationError as problem:
        raise InputError(f"step {step.name}: {explain(problem)}") from None
    return Arguments(
        config,
        {name: Path(given[name]) for name in step.inputs if name in given},
        {name: Path(given[name]) for name in step.outputs if name in given},
    )


def _value(info: FieldInfo, text: str) -> Any:
    return text if scalar_type(info) else read_json(Path(text))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise InputError(f"{self.prog}: {message}; see {self.prog} --help")


def _parser(step: Step[Any]) -> argparse.ArgumentParser:
    parser = _Parser(prog=f"python -m {step.module}", description=step.description, allow_abbrev=False)
    ports = parser.add_argument_group("files")
    for name, port in {**step.inputs, **step.outputs}.items():
        ports.add_argument(flag(name), required=not port.optional, metavar=port.type.upper(), help=port.description)
    options = parser.add_argument_group("config")
    for name, info in step.config.model_fields.items():
        metavar = "JSON_FILE" if scalar_type(info) is None else scalar_type(info).__name__.upper()  # type: ignore[union-attr]
        default = "" if info.is_required() else f" (default: {info.get_default(call_default_factory=True)!r})"
        text = f"{info.description or ''}{default}".replace("%", "%%")
        options.add_argument(flag(name), dest=name, metavar=metavar, required=info.is_required(), help=text)
    return parser
