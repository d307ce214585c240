"""Read components: a file of their own, a mapping inside a job, or the job itself."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.engine.pipeline.documents import ANY, Component, InputPort, Scalar
from azdistill.engine.pipeline.environments import read_environment
from azdistill.engine.pipeline.expressions import is_expression, names
from azdistill.engine.pipeline.parallel import check_declared, check_task, read_parallel
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.run_settings import RUN_SETTINGS, check_run_settings
from azdistill.engine.pipeline.types import is_known, misfit
from azdistill.engine.problems import suggest

_KNOWN = frozenset(
    "$schema type name version display_name description tags properties is_deterministic inputs outputs command code "
    "additional_includes environment environment_variables resources distribution limits".split()
)
_SCHEMA = re.compile(r"/(\w+)\.schema\.json$")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def read_component(part: Part, name: str) -> Component:
    """The component that a mapping describes: a component file, or `component:` of a job. Paths are
    relative to the file."""
    kind = str(part.value.get("type") or "command")
    _check_schema(part.at("$schema"), kind)
    if kind == "command":
        part.unknown_fields(_KNOWN)
        if part.value.get("environment_variables"):
            part.at("environment_variables").warning("Azure ML drops it in a component; set it in the job")
    found = _component(part, str(part.value.get("name") or name), kind, _declared(part), _outputs(part))
    if kind == "parallel":
        check_declared(part, found)
    return found


def _check_schema(part: Part, kind: str) -> None:
    """Azure ML goes by `type` alone, so that an environment given as a component is told by what it lacks."""
    found = _SCHEMA.search(str(part.value or ""))
    if found and found[1].lower() != f"{kind}component":
        part.warning(f"another kind of file; expected {kind}Component")


def job_as_component(part: Part, name: str, kind: str) -> Component:
    """A job that holds its own command: its values tell the types of its ports."""
    inputs = {port: InputPort(_type_of(value)) for port, value in part.at("inputs").mapping().items()}
    for port, at in part.at("inputs").entries():
        _check_name(at, port)
    return _component(part, name, kind, inputs, _outputs(part))


def _component(
    part: Part, name: str, kind: str, inputs: Mapping[str, InputPort], outputs: Mapping[str, str]
) -> Component:
    task = part.at("task") if kind == "parallel" else part
    found = Component(
        name=name,
        folder=part.document.path.parent,
        kind=kind,
        command=part.at("command").text() or "",
        inputs=inputs,
        outputs=outputs,
        environment=read_environment(task.at("environment")),
        code=_code(task.at("code")),
        includes=tuple(part.document.path.parent / path for path in part.at("additional_includes").texts()),
        deterministic=part.value.get("is_deterministic") is not False,
        settings={key: part.value[key] for key in RUN_SETTINGS if part.value.get(key) is not None},
        parallel=read_parallel(part) if kind == "parallel" else None,
    )
    check_run_settings(part)
    _check_includes(part, found)
    if kind == "command":
        _check_command(part, found)
    if kind == "parallel":
        check_task(task, found)
    return found


def _declared(part: Part) -> dict[str, InputPort]:
    found = {}
    for name, at in part.at("inputs").entries():
        _check_name(at, name)
        found[name] = read_port(at)
    return found


def read_port(part: Part) -> InputPort:
    """`{type: integer, min: 1}`, or the bare type."""
    raw = part.value if isinstance(part.value, Mapping) else {"type": part.value}
    port = InputPort(
        type=str(raw.get("type") or "string"),
        optional=raw.get("optional") is True,
        default=_scalar(raw.get("default")),
        minimum=_number(raw.get("min")),
        maximum=_number(raw.get("max")),
        options=tuple(raw["enum"]) if isinstance(raw.get("enum"), list) else (),
    )
    if not is_known(port.type):
        part.error("no such type of input", value=port.type)
    elif port.default is not None and (problem := misfit(port, port.default)):
        part.at("default").error(problem)
    return port


def _scalar(raw: Any) -> Scalar | None:
    return raw if isinstance(raw, (str, int, float)) else None


def _number(raw: Any) -> float | None:
    return raw if isinstance(raw, (int, float)) else None


def _outputs(part: Part) -> dict[str, str]:
    found = {}
    for name, at in part.at("outputs").entries():
        _check_name(at, name)
        found[name] = str(at.value.get("type") or "uri_folder") if isinstance(at.value, Mapping) else "uri_folder"
        if not is_known(found[name]):
            at.error("no such type of output", value=found[name])
    return found


def _check_name(part: Part, name: str) -> None:
    if not _NAME.fullmatch(name):
        part.error("a name is letters, digits and _, and begins with no digit", value=name)


def _type_of(value: Any) -> str:
    if isinstance(value, Mapping):
        path = value.get("path")
        return ANY if isinstance(path, str) and is_expression(path) else str(value.get("type") or "uri_folder")
    if isinstance(value, str) and is_expression(value):
        return ANY
    kinds = {bool: "boolean", int: "integer", float: "number"}
    return kinds.get(type(value), "string")


def _code(part: Part) -> Path | None:
    text = part.text()
    if text is None or re.match(r"azureml:|https?:|git\+", text):
        return None
    path = part.document.path.parent / text.removeprefix("file:")
    if not path.exists():
        part.error("no such folder beside this file")
    return path


def _check_includes(part: Part, component: Component) -> None:
    for path in component.includes:
        if not path.exists():
            part.at("additional_includes").error(
                "no such file or folder", value=os.path.relpath(path, component.folder)
            )


def _check_command(part: Part, component: Component) -> None:
    if not component.command:
        part.at("command").error("required, and not given")
    if part.value.get("environment") is None:
        part.at("environment").error("required on Azure ML, and not given", "azure")
    known = {f"inputs.{name}" for name in component.inputs} | {f"outputs.{name}" for name in component.outputs}
    for name in sorted(set(names(component.command)) - known):
        part.at("command").error(f"it asks for {name}, which isn't declared; {suggest(name, known)}", value=None)
