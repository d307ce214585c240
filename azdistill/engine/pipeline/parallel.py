"""Read parallel jobs: the input that is split into mini-batches, the script that runs on each, and allowed failures.

Source of the fields and their bounds: Azure ML's schema of parallel jobs.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from azdistill.engine.pipeline.authorities import CLIENT_AND_ENGINE, SERVICE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.expressions import names, required_names
from azdistill.engine.pipeline.model import LITERAL_TYPES, Component, Node, Parallel
from azdistill.engine.pipeline.yaml_node import YamlNode, integer_of, is_unreplaced
from azdistill.engine.problems import MAX_KNOWN_NAMES

JOB_FIELDS = frozenset(
    "$schema type name version display_name description tags properties comment component compute inputs outputs task "
    "input_data mini_batch_size partition_keys error_threshold mini_batch_error_threshold retry_settings logging_level "
    "max_concurrency_per_instance resources environment_variables identity queue_settings services is_deterministic "
    "additional_includes".split()
)
_TASK_FIELDS = frozenset("type code entry_script program_arguments append_row_to environment model".split())
_LOGGING_LEVELS = ("INFO", "WARNING", "DEBUG")
_SIZE = re.compile(r"(\d{1,15})([kmg]b)?", re.IGNORECASE)
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_PORT = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w.]+)\s*\}\}")
_MAX_TIMEOUT_S = 259_200
_DEFAULTS = Parallel()


def read_parallel(node: YamlNode, base: Parallel = _DEFAULTS) -> Parallel:
    """The parallel settings of a job or a component. Absent ones are those of `base`: of the job's component."""
    keys = node.at("partition_keys")
    settings = {
        "input": _port(node.at("input_data"), "inputs"),
        "partition_keys": tuple(keys.texts()) if keys.value is not None else None,
        **_size(node.at("mini_batch_size")),
        **_limits(node),
        **_retries(node.at("retry_settings")),
        **_task(node.at("task")),
    }
    return replace(base, **{name: value for name, value in settings.items() if value is not None})


def check_task(node: YamlNode, component: Component) -> None:
    """Check the task of a component, or of a job that is its own component."""
    if node.value is None:
        message, fix = "required field is missing", "write a mapping with type, code, entry_script and environment"
        node.error("missing_field", message, fix, refused_by=SERVICE_AND_ENGINE)
        return
    type = node.at("type")
    name = str(type.value).lower()
    if type.value is None:
        type.error("missing_field", "required field is missing", "write type: run_function")
    elif name in ("model", "function"):
        type.error("unsupported_locally", "the local engine runs only run_function", scope="local")
    elif name != "run_function":
        type.error("invalid_choice", "must be run_function")
    if node.at("environment").value is None:
        node.at("environment").error(
            "missing_field", "Azure ML requires an environment", "name one, as in azureml:NAME:VERSION", scope="azure"
        )
    _check_script(node, component)


def check_declared(node: YamlNode, component: Component) -> None:
    """Check the ports that a component's parallel settings name. Those of a job are checked with the job."""
    declared = {f"inputs.{name}" for name in component.inputs} | {f"outputs.{name}" for name in component.outputs}
    fields = (node.at("input_data"), node.at("task", "program_arguments"), node.at("task", "append_row_to"))
    for field in fields:
        for name in names(field.value) if isinstance(field.value, str) else ():
            if name not in declared:
                field.error("undeclared_port", f"uses undeclared {name}", field.suggest(name, declared), value=None)
    _check_append_to(node.at("task", "append_row_to"), component)


def check_parallel(job: YamlNode, node: Node) -> None:
    """Check a parallel node with its component: the input that it splits, and the values of its arguments."""
    component, parallel = node.component, node.component.parallel
    if parallel is None:
        return
    has_component = bool(job.mapping().get("component"))
    if has_component and job.mapping().get("task"):
        job.at("task").error("duplicate_value", "the component has a task already", "remove this one", scope="local")
    port, input_data = component.inputs.get(parallel.input or ""), job.at("input_data")
    if parallel.input is None and input_data.value is None:
        fix = "write ${{inputs.NAME}} with the input to split"
        input_data.error("missing_field", "required field is missing", fix, refused_by=SERVICE_AND_ENGINE)
    elif port and port.type in LITERAL_TYPES:
        message = f"must be an input of files or a table, but inputs.{parallel.input} is of type {port.type}"
        input_data.error("type_mismatch", message)
    elif port and port.type == "uri_file":
        message = "Azure ML does not split a uri_file"
        input_data.warning("type_mismatch", message, "use a uri_folder or an mltable", scope="azure")
    elif port and port.type == "uri_folder" and parallel.in_bytes:
        message = "must be a number of files, such as 10, for an input of type uri_folder"
        job.at("mini_batch_size").error("wrong_format", message, refused_by=SERVICE)
    if not has_component:
        _check_append_to(job.at("task", "append_row_to"), component)
    _check_arguments(job, node)


def reuse_settings(parallel: Parallel) -> Iterator[tuple[str, str]]:
    """Names and values, as text, of the settings that determine the results. Concurrency and logging are left out."""
    yield "input_data", str(parallel.input)
    yield "mini_batch_size", f"{parallel.size or 'default'}{' bytes' if parallel.in_bytes else ''}"
    yield "partition_keys", ", ".join(parallel.partition_keys)
    yield "entry_script", parallel.entry_script
    yield "program_arguments", parallel.arguments
    yield "append_row_to", str(parallel.append_to)
    yield "error_threshold", str(parallel.item_errors)
    yield "mini_batch_error_threshold", str(parallel.batch_errors)
    yield "retry_settings", f"{parallel.retries} retries of {parallel.timeout} s"


def _size(node: YamlNode) -> dict[str, Any]:
    text = node.text()
    if text is None or _is_expression(node):
        return {}
    match = _SIZE.fullmatch(text)
    if not match or int(match[1]) == 0:
        message = "must be a number of files, such as 10, or the size of a part of a table: 100kb, 10mb or 1gb"
        node.error("wrong_format", message)
        return {}
    return {"size": int(match[1]) * _UNITS.get((match[2] or "").lower(), 1), "in_bytes": bool(match[2])}


def _limits(node: YamlNode) -> dict[str, Any]:
    level = node.at("logging_level")
    if (
        level.value is not None
        and not is_unreplaced(level, "write the level for a local run")
        and str(level.value) not in _LOGGING_LEVELS
    ):
        level.error("invalid_choice", f"must be one of {', '.join(_LOGGING_LEVELS)}")
    return {
        "item_errors": _integer(node.at("error_threshold"), -1),
        "batch_errors": _integer(node.at("mini_batch_error_threshold"), -1),
        "concurrency": _integer(node.at("max_concurrency_per_instance"), 1),
        "logging_level": str(level.value) if level.value in _LOGGING_LEVELS else None,
    }


def _retries(node: YamlNode) -> dict[str, Any]:
    """A job's retry settings replace all of its component's."""
    if not node.mapping():
        return {}
    retries, timeout = _integer(node.at("max_retries"), 0), _integer(node.at("timeout"), 1, _MAX_TIMEOUT_S)
    return {
        "retries": _DEFAULTS.retries if retries is None else retries,
        "timeout": _DEFAULTS.timeout if timeout is None else timeout,
    }


def _task(node: YamlNode) -> dict[str, Any]:
    if not node.mapping():
        return {}
    node.check_fields(_TASK_FIELDS)
    return {
        "entry_script": node.at("entry_script").text(),
        "arguments": node.at("program_arguments").text(),
        "append_to": _port(node.at("append_row_to"), "outputs"),
    }


def _port(node: YamlNode, group: str) -> str | None:
    """NAME of `${{inputs.NAME}}` or `${{outputs.NAME}}`, None where the field is absent or wrong."""
    text = node.text()
    match = _PORT.fullmatch(text.strip()) if text else None
    if text and (not match or match[1] != group):
        node.error("invalid_reference", f"must be ${{{{{group}.NAME}}}} with one of the job's {group}")
        return None
    return match[2] if match else None


def _integer(node: YamlNode, minimum: int, maximum: int | None = None) -> int | None:
    if node.value is None or _is_expression(node):
        return None
    value = integer_of(node)
    if value is None or value < minimum or (maximum is not None and value > maximum):
        bounds = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
        authorities = CLIENT_AND_ENGINE if value is None else SERVICE_AND_ENGINE
        node.error("out_of_range", f"must be an integer {bounds}", refused_by=authorities)
        return None
    return value


def _is_expression(node: YamlNode) -> bool:
    """True if the value is an expression, which the local engine does not replace here."""
    if not isinstance(node.value, str) or "${{" not in node.value:
        return False
    message = "only Azure ML replaces this expression"
    node.error("unsupported_locally", message, "write the value itself for a local run", scope="local")
    return True


def _check_script(task: YamlNode, component: Component) -> None:
    script, code = task.at("entry_script"), task.at("code")
    if script.text() is None:
        fix = "name the Python file in code that has init() and run(mini_batch)"
        script.error("missing_field", "required field is missing", fix, refused_by=SERVICE_AND_ENGINE)
    elif code.value is None:
        fix = "name the folder of the entry script"
        code.error("missing_field", "required field is missing", fix, refused_by=SERVICE_AND_ENGINE)
    elif component.code is None and code.text() is not None:
        message = "the local engine has no copy of this code"
        code.error("unsupported_locally", message, "name a local folder", scope="local")
    elif (
        component.code is not None
        and os.path.exists(component.code)
        and not _contains(component.code, str(script.value))
    ):
        message = f"no such file in {str(component.code)!r}, the code of this task"
        fix = script.suggest(str(script.value), _scripts(component.code))
        script.error("missing_file", message, fix, refused_by=SERVICE_AND_ENGINE)


def _contains(code: Path, script: str) -> bool:
    """True if code has the entry script, under a name that Azure ML can turn into a module name: without `./`. It may
    be a module name itself, such as `package.module`."""
    if os.path.isfile(code):
        return script in (code.name, code.stem)
    is_plain = PurePosixPath(script).as_posix() == script and not script.startswith(("/", ".."))
    return is_plain and (os.path.isfile(code / script) or os.path.isfile(code / f"{script.replace('.', '/')}.py"))


def _scripts(code: Path) -> list[str]:
    """Python files of a code folder and of the folders in it, as an entry script names them."""
    if os.path.isfile(code):
        return [code.name]
    files = (path for pattern in ("*.py", "*/*.py") for path in code.glob(pattern))
    return sorted(path.relative_to(code).as_posix() for path in islice(files, MAX_KNOWN_NAMES))


def _check_append_to(node: YamlNode, component: Component) -> None:
    name = (component.parallel and component.parallel.append_to) or ""
    type = component.outputs.get(name, "uri_file")
    if node.value is not None and type != "uri_file":
        message = f"must be an output of type uri_file, but outputs.{name} is of type {type}"
        node.error("type_mismatch", message, "set its type to uri_file: all rows go into one file")


def _check_arguments(job: YamlNode, node: Node) -> None:
    """Program arguments use declared ports; an optional input without a value must be inside `$[[ ]]`."""
    parallel, inputs = node.component.parallel, node.component.inputs
    arguments = job.at("task", "program_arguments")
    for name in sorted(required_names(parallel.arguments if parallel else "")):
        group, _, port = name.partition(".")
        if group not in ("inputs", "outputs"):
            message = f"uses {name}, which is neither ${{{{inputs.NAME}}}} nor ${{{{outputs.NAME}}}}"
            arguments.error("invalid_reference", message, value=None)
        elif group == "inputs" and port in inputs and _has_no_value(node, port):
            message = f"uses the optional inputs.{port}, which has no value"
            arguments.error("optional_for_required", message, "put its flag into $[[ ]]", value=None)


def _has_no_value(node: Node, name: str) -> bool:
    port = node.component.inputs[name]
    return port.optional and port.default is None and name not in node.inputs
