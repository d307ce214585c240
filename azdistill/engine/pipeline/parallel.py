"""Read parallel jobs: which input is split into mini-batches, what runs on each, and how much of it may fail.

Source of the fields and their bounds: Azure ML's schema of parallel jobs.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from azdistill.engine.pipeline.documents import LITERAL_TYPES, Component, Node, Parallel
from azdistill.engine.pipeline.expressions import names, required_names
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.problems import suggest

_KNOWN = frozenset(
    "$schema type name version display_name description tags properties comment component compute inputs outputs task "
    "input_data mini_batch_size partition_keys error_threshold mini_batch_error_threshold retry_settings logging_level "
    "max_concurrency_per_instance resources environment_variables identity queue_settings services is_deterministic "
    "additional_includes".split()
)
_KNOWN_TASK = frozenset("type code entry_script program_arguments append_row_to environment model".split())
_LEVELS = ("INFO", "WARNING", "DEBUG")
_SIZE = re.compile(r"(\d+)([kmg]b)?", re.IGNORECASE)
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_PORT = re.compile(r"\$\{\{\s*(inputs|outputs)\.([\w.]+)\s*\}\}")
_LONGEST_S = 259_200
_NO_SETTINGS = Parallel()


def read_parallel(part: Part, base: Parallel = _NO_SETTINGS) -> Parallel:
    """What a job or a component says. The rest is as in `base`: that of a job's component, or Azure ML's defaults."""
    part.unknown_fields(_KNOWN)
    found = {**_splitting(part), **_limits(part), **_retries(part.at("retry_settings")), **_task(part.at("task"))}
    return replace(base, **{name: value for name, value in found.items() if value is not None})


def check_task(part: Part, component: Component) -> None:
    """Findings about the task of a component, or of a job that is its own."""
    if part.value is None:
        part.error("required, a mapping with type, code, entry_script and environment")
        return
    _check_type(part.at("type"))
    if part.at("environment").value is None:
        part.at("environment").error("required on Azure ML, and not given", "azure")
    _check_script(part, component)


def check_declared(part: Part, component: Component) -> None:
    """Findings about the ports that a component's parallel settings name. Those of a job are checked with the job."""
    ports = {f"inputs.{name}" for name in component.inputs} | {f"outputs.{name}" for name in component.outputs}
    for at in (part.at("input_data"), part.at("task", "program_arguments"), part.at("task", "append_row_to")):
        for name in names(at.value) if isinstance(at.value, str) else ():
            if name not in ports:
                at.error(f"it asks for {name}, which isn't declared; {suggest(name, ports)}", value=None)
    _check_rows(part.at("task", "append_row_to"), component)


def check_parallel(part: Part, node: Node) -> None:
    """Findings about a node as a whole: what it splits, and what its arguments are given."""
    component, work = node.component, node.component.parallel
    if work is None:
        return
    given = part.mapping()
    if given.get("component") and given.get("task"):
        part.at("task").error("the component has a task of its own; take this one out", "local")
    port = component.inputs.get(work.input or "")
    if work.input is None and part.at("input_data").value is None:
        part.at("input_data").error("required, ${{inputs.NAME}} of the input to split")
    elif port and port.type in LITERAL_TYPES:
        part.at("input_data").error(f"inputs.{work.input} is of type {port.type}; expected files or a table")
    elif port and port.type == "uri_file":
        part.at("input_data").warning("Azure ML splits a uri_folder or an mltable; make it one of them", scope="azure")
    elif port and port.type == "uri_folder" and work.in_bytes:
        part.at("mini_batch_size").error("the files of a uri_folder are counted; give a number such as 10")
    if not given.get("component"):
        _check_rows(part.at("task", "append_row_to"), component)
    _check_arguments(part, node)


def counted(work: Parallel) -> Iterator[tuple[str, str]]:
    """The fields that its results depend on, as text, and not where and how wide it runs."""
    yield "input_data", str(work.input)
    yield "mini_batch_size", f"{work.size or 'default'}{' bytes' if work.in_bytes else ''}"
    yield "partition_keys", ", ".join(work.partition_keys)
    yield "entry_script", work.entry_script
    yield "program_arguments", work.arguments
    yield "append_row_to", str(work.append_to)
    yield "error_threshold", str(work.item_errors)
    yield "mini_batch_error_threshold", str(work.batch_errors)
    yield "retry_settings", f"{work.retries} retries of {work.timeout} s"


def _splitting(part: Part) -> dict[str, Any]:
    keys = part.at("partition_keys")
    return {
        "input": _port(part.at("input_data"), "inputs"),
        "partition_keys": tuple(keys.texts()) if keys.value is not None else None,
        **_size(part.at("mini_batch_size")),
    }


def _size(part: Part) -> dict[str, Any]:
    text = part.text()
    if text is None or _is_filled_in(part):
        return {}
    found = _SIZE.fullmatch(text)
    if not found or int(found[1]) == 0:
        part.error("expected a number of files such as 10, or a size such as 100kb, 10mb or 1gb for a part of a table")
        return {}
    return {"size": int(found[1]) * _UNITS.get((found[2] or "").lower(), 1), "in_bytes": bool(found[2])}


def _limits(part: Part) -> dict[str, Any]:
    level = part.at("logging_level")
    if level.value is not None and str(level.value) not in _LEVELS:
        level.error(f"expected one of {', '.join(_LEVELS)}")
    return {
        "item_errors": _integer(part.at("error_threshold"), -1),
        "batch_errors": _integer(part.at("mini_batch_error_threshold"), -1),
        "concurrency": _integer(part.at("max_concurrency_per_instance"), 1),
        "logging_level": str(level.value) if level.value in _LEVELS else None,
    }


def _retries(part: Part) -> dict[str, Any]:
    """A job's retry settings stand for its component's as a whole."""
    if not part.mapping():
        return {}
    retries, timeout = _integer(part.at("max_retries"), 0), _integer(part.at("timeout"), 1, _LONGEST_S)
    return {
        "retries": _NO_SETTINGS.retries if retries is None else retries,
        "timeout": _NO_SETTINGS.timeout if timeout is None else timeout,
    }


def _task(part: Part) -> dict[str, Any]:
    if not part.mapping():
        return {}
    part.unknown_fields(_KNOWN_TASK)
    return {
        "entry_script": part.at("entry_script").text(),
        "arguments": part.at("program_arguments").text(),
        "append_to": _port(part.at("append_row_to"), "outputs"),
    }


def _port(part: Part, kind: str) -> str | None:
    """The name in `${{inputs.NAME}}` or `${{outputs.NAME}}`, None where there is none."""
    text = part.text()
    found = _PORT.fullmatch(text.strip()) if text else None
    if text and (not found or found[1] != kind):
        part.error(f"expected ${{{{{kind}.NAME}}}}, one of the job's {kind}")
        return None
    return found[2] if found else None


def _integer(part: Part, least: int, most: int | None = None) -> int | None:
    if part.value is None or _is_filled_in(part):
        return None
    text = str(part.value)
    if not re.fullmatch(r"-?\d+", text) or int(text) < least or (most is not None and int(text) > most):
        part.error(f"expected a whole number of at least {least}{f' and at most {most}' if most is not None else ''}")
        return None
    return int(text)


def _is_filled_in(part: Part) -> bool:
    if not isinstance(part.value, str) or "${{" not in part.value:
        return False
    part.error("Azure ML fills it in; write the value itself for a run here", "local")
    return True


def _check_type(part: Part) -> None:
    kind = str(part.value).lower()
    if part.value is None:
        part.error("required: run_function")
    elif kind in ("model", "function"):
        part.error("runs on Azure ML only; the local engine runs run_function", "local")
    elif kind != "run_function":
        part.error("expected run_function")


def _check_script(part: Part, component: Component) -> None:
    script, code = part.at("entry_script"), part.at("code")
    if script.text() is None:
        script.error("required, the Python file in code with init() and run(mini_batch)")
    elif code.value is None:
        code.error("required, the folder of the entry script")
    elif component.code is None and code.text() is not None:
        code.error("lies on Azure ML only; name a local folder", "local")
    elif component.code is not None and component.code.exists() and not _holds(component.code, str(script.value)):
        hint = suggest(str(script.value), _scripts(component.code))
        script.error(f"no such file in {str(component.code)!r}, the code of this task; {hint}")


def _holds(code: Path, script: str) -> bool:
    """Whether code has the entry script, under a name that Azure ML can make a module's name of: no ./ before it."""
    if code.is_file():
        return script == code.name
    return (
        (code / script).is_file() and PurePosixPath(script).as_posix() == script and not script.startswith(("/", ".."))
    )


def _scripts(code: Path) -> list[str]:
    """The Python files of a code folder, as an entry script names them."""
    return [code.name] if code.is_file() else [path.relative_to(code).as_posix() for path in sorted(code.rglob("*.py"))]


def _check_rows(part: Part, component: Component) -> None:
    name = (component.parallel and component.parallel.append_to) or ""
    kind = component.outputs.get(name, "uri_file")
    if part.value is not None and kind != "uri_file":
        part.error(f"the rows go into one file, and outputs.{name} is a {kind}; give it type: uri_file")


def _check_arguments(part: Part, node: Node) -> None:
    """An optional input without a value leaves a hole in the arguments, unless it stands in `$[[ ]]`."""
    work, inputs = node.component.parallel, node.component.inputs
    at = part.at("task", "program_arguments")
    for name in sorted(set(required_names(work.arguments if work else ""))):
        whole, _, port = name.partition(".")
        declared: Mapping[str, Any] = inputs if whole == "inputs" else node.component.outputs
        if whole not in ("inputs", "outputs"):
            at.error(f"it asks for {name}; expected ${{{{inputs.NAME}}}} or ${{{{outputs.NAME}}}}", value=None)
        elif whole == "inputs" and port in declared and _is_open(node, port):
            at.error(f"inputs.{port} is optional and has no value; put its flag into $[[ ]]", value=None)


def _is_open(node: Node, name: str) -> bool:
    port = node.component.inputs[name]
    return port.optional and port.default is None and name not in node.inputs
