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
STEPS = ("prepare", "teacher", "curate", "train", "predict", "evaluate", "report", "register")
AZURE_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def step_of(name: str) -> Step[Any]:
    """The declaration of a step, by name."""
    step: Step[Any] = import_module(f"azdistill.contracts.{name}").STEP
    return step


def component(step: Step[Any], code: dict[str, Any]) -> dict[str, Any]:
    """The component document of a step. `code` says where its snapshot comes from:
    `{"code": "./code"}` in a bundle, `{"additional_includes": [...]}` in the repository."""
    return {
        "$schema": SCHEMA,
        "type": "command",
        "name": f"azdistill_{step.name}",
        "display_name": f"azdistill {step.name}",
        "description": step.description,
        "inputs": {**_ports(step), **{name: _input(info) for name, info in step.config.model_fields.items()}},
        "outputs": {
            name: {"type": port.type, "description": port.description} | ({"mode": port.mode} if port.mode else {})
            for name, port in step.outputs.items()
        },
        **code,
        "environment": f"file:../../{ENVIRONMENTS}/{step.environment}/environment.yml",
        "command": command(step),
    }


def command(step: Step[Any]) -> str:
    """The shell line: a flag for every port and field, optional ones in `$[[ ]]`.

    Nothing is quoted because nothing needs it: a string field has an enum or a
    pattern that admits no shell character (a test holds every field to that).
    """
    flags = [_flag(name, "inputs", port.optional) for name, port in step.inputs.items()]
    flags += [_flag(name, "inputs", _optional(info)) for name, info in step.config.model_fields.items()]
    flags += [_flag(name, "outputs", False) for name in step.outputs]
    return " ".join([f"python -m {step.module}", *flags])


def amlignore(step: Step[Any]) -> str:
    """The `.amlignore` that narrows `additional_includes: [../../azdistill]` to the step's closure.

    As in Git, nothing below an excluded folder can be taken back, so each folder on the
    way is taken back first and emptied again.
    """
    kept = set(closure(step.module))
    folders = sorted({folder for path in kept for folder in path.parents if folder.name})
    lines = ["# generated: only the step's import closure is uploaded"]
    for folder in folders:
        inside = sorted(path for path in kept.union(folders) if path.parent == folder)
        lines += [f"{folder.as_posix()}/*", *(f"!{path.as_posix()}" for path in inside)]
    return "\n".join(lines) + "\n"


def _ports(step: Step[Any]) -> dict[str, Any]:
    return {
        name: {"type": port.type, "description": port.description} | ({"optional": True} if port.optional else {})
        for name, port in step.inputs.items()
    }


def _input(info: FieldInfo) -> dict[str, Any]:
    kind = scalar_type(info)
    described = {"type": AZURE_TYPES[kind] if kind else "uri_file", "description": info.description}
    if kind is None:
        return described | {"optional": True}
    if _optional(info):
        return described | {"optional": True} | _bounds(info)
    return described | ({} if info.is_required() else {"default": info.default}) | _bounds(info)


def _bounds(info: FieldInfo) -> dict[str, Any]:
    """Azure ML knows inclusive bounds only; an exclusive one is given as inclusive and checked by the step."""
    found: dict[str, Any] = {}
    if typing.get_origin(info.annotation) is Literal:
        found["enum"] = list(typing.get_args(info.annotation))
    for bound in info.metadata:
        if isinstance(bound, (annotated_types.Ge, annotated_types.Gt)):
            found["min"] = bound.ge if isinstance(bound, annotated_types.Ge) else bound.gt
        if isinstance(bound, (annotated_types.Le, annotated_types.Lt)):
            found["max"] = bound.le if isinstance(bound, annotated_types.Le) else bound.lt
    return found


def _optional(info: FieldInfo) -> bool:
    return scalar_type(info) is None or type(None) in typing.get_args(info.annotation)


def _flag(name: str, side: str, optional: bool) -> str:
    text = f"{flag(name)} ${{{{{side}.{name}}}}}"
    return f"$[[{text}]]" if optional else text
