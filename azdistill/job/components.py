"""Azure ML component files, derived from each step's config and ports."""

import typing
from importlib import import_module
from typing import Any, Literal

import annotated_types
from pydantic.fields import FieldInfo

from azdistill.contracts.layout import ENVIRONMENTS
from azdistill.contracts.step import Step, flag, scalar_type
from azdistill.job.snapshot import closure

SCHEMA = "https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json"
STEPS = (
    "prepare",
    "regression",
    "augment",
    "teacher",
    "judge_answers",
    "curate",
    "train",
    "predict",
    "judge",
    "evaluate",
    "report",
    "register",
)
AZURE_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def step_of(name: str) -> Step[Any]:
    """The declaration of a step, by its qualified name."""
    step: Step[Any] = import_module(f"azdistill.contracts.{name}").STEP
    return step


def component(step: Step[Any], code: dict[str, Any]) -> dict[str, Any]:
    """The component document of a step. `code` is the source of its snapshot: `{"code": "./code"}` in a bundle,
    `{"additional_includes": [...]}` in the repository."""
    return {
        "$schema": SCHEMA,
        "type": "command",
        "name": f"azdistill_{step.qualified_name}",
        "display_name": f"azdistill {step.qualified_name}",
        "description": step.description,
        "inputs": {**_ports(step), **{name: _input(info) for name, info in step.config.model_fields.items()}},
        "outputs": {
            name: {"type": port.type, "description": port.description} | ({"mode": port.mode} if port.mode else {})
            for name, port in step.outputs.items()
        },
        **({} if step.deterministic else {"is_deterministic": False}),
        **code,
        "environment": f"file:../../{ENVIRONMENTS}/{step.environment}/environment.yml",
        "command": command(step),
    }


def command(step: Step[Any]) -> str:
    """The shell command of a step: a flag for every port and field, optional ones in `$[[ ]]`.

    An address is quoted: the name of a resource group may contain parentheses. No other value needs quotes: a string
    field has an enum or a pattern without shell characters, which a test checks.
    """
    flags = [_flag(name, "inputs", port.optional, quoted=port.is_address) for name, port in step.inputs.items()]
    flags += [_flag(name, "inputs", _optional(info)) for name, info in step.config.model_fields.items()]
    flags += [_flag(name, "outputs", False) for name in step.outputs]
    return " ".join([f"python -m {step.module}", *flags])


def amlignore(step: Step[Any]) -> str:
    """The `.amlignore` that limits `additional_includes: [../../azdistill]` to the step's import closure.

    As in Git, a file below an excluded folder cannot be included again. So each parent folder is included first,
    and then its content is excluded.
    """
    files = set(closure(step.module))
    folders = sorted({folder for path in files for folder in path.parents if folder.name})
    lines = ["# generated: only the step's import closure is uploaded"]
    for folder in folders:
        entries = sorted(path for path in files.union(folders) if path.parent == folder)
        lines += [f"{folder.as_posix()}/*", *(f"!{path.as_posix()}" for path in entries)]
    return "\n".join(lines) + "\n"


def _ports(step: Step[Any]) -> dict[str, Any]:
    return {
        name: {"type": port.type, "description": port.description} | ({"optional": True} if port.optional else {})
        for name, port in step.inputs.items()
    }


def _input(info: FieldInfo) -> dict[str, Any]:
    kind = scalar_type(info)
    document = {"type": AZURE_TYPES[kind] if kind else "uri_file", "description": info.description}
    if kind is None:
        return document | {"optional": True}
    if _optional(info):
        return document | {"optional": True} | _bounds(info)
    return document | ({} if info.is_required() else {"default": info.default}) | _bounds(info)


def _bounds(info: FieldInfo) -> dict[str, Any]:
    """Enum and bounds of an input. Azure ML has inclusive bounds only; the step itself checks exclusive ones."""
    bounds: dict[str, Any] = {}
    if typing.get_origin(info.annotation) is Literal:
        bounds["enum"] = list(typing.get_args(info.annotation))
    for bound in info.metadata:
        if isinstance(bound, (annotated_types.Ge, annotated_types.Gt)):
            bounds["min"] = bound.ge if isinstance(bound, annotated_types.Ge) else bound.gt
        if isinstance(bound, (annotated_types.Le, annotated_types.Lt)):
            bounds["max"] = bound.le if isinstance(bound, annotated_types.Le) else bound.lt
    return bounds


def _optional(info: FieldInfo) -> bool:
    return scalar_type(info) is None or type(None) in typing.get_args(info.annotation)


def _flag(name: str, side: str, optional: bool, *, quoted: bool = False) -> str:
    value = f"${{{{{side}.{name}}}}}"
    text = f"{flag(name)} '{value}'" if quoted else f"{flag(name)} {value}"
    return f"$[[{text}]]" if optional else text
