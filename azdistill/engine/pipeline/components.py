"""Read components: a separate file, a mapping inside a job, or the job itself."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.engine.pipeline.authorities import CLIENT_AND_ENGINE, SERVICE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.client_fields import (
    check_component,
    check_output_port,
    check_parallel_fields,
    check_port,
    is_true,
)
from azdistill.engine.pipeline.environments import read_environment
from azdistill.engine.pipeline.expressions import in_plain_brackets, is_expression, names, with_group
from azdistill.engine.pipeline.job_values import lower
from azdistill.engine.pipeline.labels import unversioned_asset
from azdistill.engine.pipeline.model import ANY, Component, InputPort, Scalar
from azdistill.engine.pipeline.parallel import JOB_FIELDS as PARALLEL_FIELDS
from azdistill.engine.pipeline.parallel import check_declared, check_task, read_parallel
from azdistill.engine.pipeline.run_settings import RUN_SETTINGS, check_run_settings
from azdistill.engine.pipeline.snapshots import MAX_CHECKED_FILES, MAX_REFUSALS, Refusal, Source, is_zipped, snapshot_of
from azdistill.engine.pipeline.types import is_known, mismatch
from azdistill.engine.pipeline.yaml_node import YamlNode
from azdistill.engine.pipeline.yaml_readings import warn_of_readings
from azdistill.engine.problems import Authority, shorten

_FIELDS = frozenset(
    "$schema type name version display_name description tags properties is_deterministic inputs outputs command code "
    "additional_includes environment environment_variables resources distribution limits queue_settings "
    "auto_delete_setting".split()
)
_OPTION = re.compile(r"\s*--?[A-Za-z]")
_KINDS = ("command", "parallel", "pipeline", "spark", "data_transfer", "import", "automl")
# Field of a sweep job, and group of the names in the command of its trial.
SEARCH_SPACE = "search_space"

_SCHEMA = re.compile(r"/(\w+)\.schema\.json$")
# Pattern of the command in the REST specification (mfe.json in Azure/azure-rest-api-specs).
_SENT_COMMAND = re.compile(r"[a-zA-Z0-9_]")
# File systems limit a name to this length.
MAX_NAME_LENGTH = 255
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def read_component(node: YamlNode, name: str) -> Component:
    """The component of a component file, or of `component:` in a job. `name` is used where it has none.

    Paths are relative to the file.
    """
    kind = lower(node.value.get("type"), "command")
    _check_schema(node.at("$schema"), kind)
    check_component(node)
    if kind not in _KINDS or node.value.get("type") in ("", 0, {}, []):
        node.at("type").error("invalid_choice", f"must be one of {', '.join(_KINDS)}")
    if kind == "parallel":
        node.check_fields(PARALLEL_FIELDS)
        check_parallel_fields(node, expressions=False)
    if kind == "command":
        node.check_fields(_FIELDS)
        variables = node.at("environment_variables")
        if variables.mapping():
            variables.warning("ignored_field", "Azure ML ignores this field of a component", "set it in the job")
    for _, output in node.at("outputs").entries():
        check_output_port(output)
    _check_case(node)
    inputs = _declared_inputs(node)
    component = _component(node, str(node.value.get("name") or name), kind, inputs, _outputs(node))
    if not node.field:
        booleans = {("inputs", port, "default") for port, declared in inputs.items() if declared.type == "boolean"}
        warn_of_readings(node, booleans)
    if kind == "parallel":
        check_declared(node, component)
    return component


def _check_schema(node: YamlNode, kind: str) -> None:
    """Azure ML reads only `type`. Without this warning, an environment file would be reported by what it lacks."""
    schema = _SCHEMA.search(str(node.value or ""))
    if schema and schema[1].lower() != f"{kind}component":
        node.warning("wrong_schema", "is the schema of another kind of file", f"use {kind}Component.schema.json")


def job_as_component(node: YamlNode, name: str, kind: str) -> Component:
    """The component of a job with its own command. The types of its ports are those of the values."""
    inputs = {port: InputPort(_type_of(value)) for port, value in node.at("inputs").mapping().items()}
    is_node = bool(node.field)  # the client makes a component of a node, and of no other job
    for port, input in node.at("inputs").entries():
        check_name(input, port, CLIENT_AND_ENGINE if is_node else SERVICE_AND_ENGINE)
    if is_node:
        _check_case(node)
    return _component(node, name, kind, inputs, _job_outputs(node))


def trial_as_component(job: YamlNode, name: str) -> Component:
    """The trial of a sweep job outside a pipeline. Its command has `${{inputs.NAME}}` of the job, and
    `${{search_space.NAME}}`, which becomes an input of this name."""
    trial = job.at("trial")
    inputs = {port: InputPort(_type_of(value)) for port, value in job.at("inputs").mapping().items()}
    inputs |= {port: InputPort(ANY) for port in job.at(SEARCH_SPACE).mapping()}
    for port, input in [*job.at("inputs").entries(), *job.at(SEARCH_SPACE).entries()]:
        check_name(input, port)
    return _component(trial, name, "command", inputs, _job_outputs(job), is_trial=True)


def _component(
    node: YamlNode,
    name: str,
    kind: str,
    inputs: Mapping[str, InputPort],
    outputs: Mapping[str, str],
    is_trial: bool = False,
) -> Component:
    command = node.at("command").text() or ""
    task = node.at("task") if kind == "parallel" else node
    folder = node.document.path.parent
    component = Component(
        name=name,
        folder=folder,
        kind=kind,
        command=with_group(command, SEARCH_SPACE, "inputs") if is_trial else command,
        inputs=inputs,
        outputs=outputs,
        environment=read_environment(task.at("environment")),
        code=_code(task.at("code")),
        includes=tuple(folder / path for path in node.at("additional_includes").texts()),
        deterministic=node.value.get("is_deterministic") is not False,
        settings={key: node.value[key] for key in RUN_SETTINGS if node.value.get(key) is not None},
        parallel=read_parallel(node) if kind == "parallel" else None,
    )
    check_run_settings(node)
    missing = [path for path in component.includes if not os.path.exists(path) and not is_zipped(path)]
    for path in missing:
        includes = node.at("additional_includes")
        includes.error("missing_file", "no such file or folder", value=os.path.relpath(path, folder))
    if not missing and (component.code is None or os.path.exists(component.code)):
        _check_snapshot({"code": task, "additional_includes": node}, component)
    if kind == "command":
        _check_command(node, component)
        if component.code is None and isinstance(node.value.get("code"), str):
            message = "the local engine has no copy of this code"
            node.at("code").error("unsupported_locally", message, "name a local folder", scope="local")
    if kind == "parallel":
        check_task(task, component)
    return component


def _declared_inputs(node: YamlNode) -> dict[str, InputPort]:
    ports = {}
    for name, input in node.at("inputs").entries():
        check_name(input, name)
        check_port(input)
        ports[name] = read_port(input)
    return ports


def read_port(node: YamlNode) -> InputPort:
    """The declaration of an input: `{type: integer, min: 1}`, or the type alone."""
    fields = node.value if isinstance(node.value, Mapping) else {"type": node.value}
    port = InputPort(
        type=str(fields.get("type") or "string"),
        optional=is_true(fields.get("optional")),
        default=as_scalar(fields.get("default")),
        minimum=_as_number(fields.get("min")),
        maximum=_as_number(fields.get("max")),
        options=tuple(fields["enum"]) if isinstance(fields.get("enum"), list) else (),
    )
    if not is_known(port.type):
        node.error("invalid_choice", "unknown type of input", value=port.type)
    elif port.default is not None and (reason := mismatch(port, port.default)):
        node.at("default").error(*reason, refused_by=SERVICE)
    return port


def as_scalar(value: Any) -> Scalar | None:
    """The value where it is text, a number or a boolean, else None."""
    return value if isinstance(value, (str, int, float)) else None


def _as_number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


def _outputs(node: YamlNode) -> dict[str, str]:
    """Types of the outputs of a component."""
    types = {}
    for name, output in node.at("outputs").entries():
        check_name(output, name)
        fields = output.value if isinstance(output.value, Mapping) else {}
        types[name] = str(fields.get("type") or "uri_folder")
        if not is_known(types[name]):
            output.error("invalid_choice", "unknown type of output", value=types[name])
    return types


def _job_outputs(node: YamlNode) -> dict[str, str]:
    """Types of the outputs of a job, in which case does not matter. They are checked with the other fields of an
    output."""
    types = {}
    for name, output in node.at("outputs").entries():
        check_name(output, name)
        types[name] = lower(output.value.get("type") if isinstance(output.value, Mapping) else None, "uri_folder")
    return types


def check_name(node: YamlNode, name: str, refused_by: tuple[Authority, ...] = CLIENT_AND_ENGINE) -> None:
    """Check the name of an input or output."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        message = "names of inputs and outputs have at most 255 letters, digits and _, and do not start with a digit"
        node.error("invalid_name", message, value=name, refused_by=refused_by)


def _check_case(node: YamlNode) -> None:
    """Inputs, or outputs, that differ only by case: the client refuses their component when it creates it."""
    for group in ("inputs", "outputs"):
        first: dict[str, str] = {}
        for name, port in node.at(group).entries():
            if (other := first.setdefault(name.lower(), name)) != name:
                message = f"differs from {other!r} only by case"
                port.error("similar_names", message, "rename one of them", value=None)


def _type_of(value: Any) -> str:
    if isinstance(value, Mapping) and set(value) == {"value"}:
        return _type_of(value["value"])
    if isinstance(value, Mapping):
        path = value.get("path")
        return ANY if isinstance(path, str) and is_expression(path) else lower(value.get("type"), "uri_folder")
    if isinstance(value, str) and is_expression(value):
        return ANY
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


def _code(node: YamlNode) -> Path | None:
    """The local code folder, None for a remote folder or none. Previews of Azure ML had `{local_path: FOLDER}`."""
    if folder := node.value.get("local_path") if isinstance(node.value, Mapping) else None:
        node.error("wrong_type", "must be text", f"write code: {folder}", value=None)
        return None
    text = node.text()
    if text is None or re.match(r"azureml:|https?:|git\+", text):
        if text and (name := unversioned_asset(text)):
            node.error("missing_version", "Azure ML requires a version", f"write azureml:{name}:VERSION", scope="azure")
        return None
    path = node.document.path.parent / text.removeprefix("file:")
    if not os.path.exists(path):
        node.error("missing_file", "no such folder", "paths are relative to this file")
    return path


def _shown(owner: YamlNode, refusal: Refusal) -> str | None:
    """The file of a refusal, below the code folder as it is written."""
    code = owner.at("code").text() or ""
    return os.path.join(code, refusal.value) if refusal.value and refusal.source == "code" else refusal.value


def _check_snapshot(owners: Mapping[Source, YamlNode], component: Component) -> None:
    """Report what Azure ML's client refuses in the first files of the snapshot, and names that differ only by case."""
    snapshot = snapshot_of(component.code, component.folder, component.includes, most=MAX_CHECKED_FILES)
    for refusal in snapshot.refusals[:MAX_REFUSALS]:
        owners[refusal.source].at(refusal.source).error(
            refusal.code,
            refusal.message,
            refusal.fix,
            value=_shown(owners["code"], refusal),
            scope="azure" if refusal.runs_here else "everywhere",
        )
    names_by_key: dict[str, str] = {}
    for name in snapshot.files:
        other = names_by_key.setdefault(name.casefold(), name)
        if other != name:
            message = f"has {other!r} too: on a disk of Windows or macOS they are one file"
            owners["code"].at("code").warning("similar_names", message, "rename one of them", value=name)
            break


def _line_of_options(command: str) -> str | None:
    """The first line of a command with options only: YAML folds no line that is indented more than the first one.
    Lines in quotes, of a here-document and after a `\\` or an operator are none of their own."""
    lines = [] if "<<" in command else command.splitlines()
    before = ""
    for line in lines:
        is_open = any(before.count(quote) % 2 for quote in "'\"")
        if before and _OPTION.match(line) and not is_open and not before.rstrip(" ").endswith(("\\", "|", "&", "(")):
            return line.strip()
        before += f"\n{line}" if line.strip() else ""
    return None


def _check_command(node: YamlNode, component: Component) -> None:
    if not component.command:
        authorities = SERVICE_AND_ENGINE if node.value.get("command") == "" else CLIENT_AND_ENGINE
        node.at("command").error("missing_field", "required field is missing", refused_by=authorities)
    elif not _SENT_COMMAND.search(component.command):
        message = "Azure ML requires a letter or a digit in a command"
        node.at("command").error("wrong_format", message, scope="azure", refused_by=SERVICE)
    if line := _line_of_options(component.command):
        message = f"its line {shorten(line)} is a command of its own, and not options of the line before"
        fix = "end the line before with \\, or indent all lines of a text after >- alike"
        node.at("command").warning("line_of_options", message, fix, value=None)
    if node.value.get("environment") is None:
        node.at("environment").error(
            "missing_field", "Azure ML requires an environment", "name one, as in azureml:NAME:VERSION", scope="azure"
        )
    for name in in_plain_brackets(component.command):
        port = component.inputs.get(name.removeprefix("inputs."))
        if port is not None and port.optional:
            message, fix = f"has the optional {name} in [ ], which the shell gets as they are", "write $[[ ]]"
            node.at("command").warning("plain_brackets", message, fix, value=None)
    declared = {f"inputs.{name}" for name in component.inputs} | {f"outputs.{name}" for name in component.outputs}
    if node.field == ("trial",):  # of a sweep job outside a pipeline
        declared |= {f"{SEARCH_SPACE}.{name}" for name in component.inputs}
    for name in sorted(set(names(node.at("command").text() or "")) - declared):
        node.at("command").error("undeclared_port", f"uses undeclared {name}", node.suggest(name, declared), value=None)
