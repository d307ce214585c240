"""Checks of the inputs and outputs of a job: an input has a value, where that of a component has a declaration.

Source: `_schema/job/input_output_entry.py` of azure-ai-ml 1.35.
"""

import os
from collections.abc import Mapping
from typing import Any

from azdistill.engine.pipeline.authorities import CLIENT, SERVICE
from azdistill.engine.pipeline.client_fields import INPUT, OUTPUT, refuse_unknown
from azdistill.engine.pipeline.expressions import is_expression
from azdistill.engine.pipeline.labels import check_output_name, unsafe_path
from azdistill.engine.pipeline.model import DATA_TYPES
from azdistill.engine.pipeline.yaml_node import YamlNode

# Only a component may have the older type `path`.
JOB_TYPES = tuple(type for type in DATA_TYPES if type != "path")
_FILE_MODES = ("download", "ro_mount", "direct")
_TABLE_MODES = (*_FILE_MODES, "eval_mount", "eval_download")
_OUTPUT_MODES = ("rw_mount", "upload", "mount", "direct")


def lower(value: Any, default: str) -> str:
    """A type or mode of a job, in which case does not matter."""
    return str(value or default).lower()


def check_input(node: YamlNode, expressions: bool) -> None:
    """Check an input of a job that is a mapping: one with type and path, or `{value: 3}`.

    `expressions`: its type and mode may be a `${{ }}`.
    """
    fields = node.mapping()
    if set(fields) == {"value"}:
        if not isinstance(fields["value"], (str, int, float)):
            node.at("value").error("wrong_type", "must be a text, a number or true or false", refused_by=CLIENT)
        return
    if "path" not in fields and "path_on_compute" not in fields:
        default = fields.get("default", fields.get("value"))
        fix = "write a literal, or type and path" if default is None else f"write {node.field[-1]}: {default}"
        type = lower(fields.get("type"), JOB_TYPES[0])
        is_file = fields.keys() <= {"type", "mode"} and (type in JOB_TYPES or is_expression(type))
        message, by = "an input of a job is its value, not a declaration", SERVICE if is_file else CLIENT
        node.error("wrong_type", message, fix, scope="azure", value=None, refused_by=by)
    else:
        refuse_unknown(node, INPUT, expressions)
        _check_choice(node.at("type"), JOB_TYPES, expressions)
        _check_path_on_compute(node)
    modes = _TABLE_MODES if lower(fields.get("type"), "mltable") == "mltable" else _FILE_MODES
    fix = "use ro_mount or download; only outputs can be written"
    _check_choice(node.at("mode"), modes, expressions, fix)


def _check_path_on_compute(node: YamlNode) -> None:
    """The client looks for this path on this machine, and fails on it in a pipeline."""
    path = node.at("path_on_compute")
    if path.value is None:
        return
    if node.field[0] == "jobs" or "jobs" in node.document.value:
        path.error("invalid_choice", "azure-ai-ml 1.35 fails on this field in a pipeline", "remove it", scope="azure")
    elif not os.path.exists(node.document.path.parent / str(path.value)):
        message = "the client requires that this path exists on this machine"
        path.error("missing_file", message, "remove it", scope="azure")


def check_output(node: YamlNode, expressions: bool = False, is_pipeline: bool = False) -> None:
    """Check an output of a job. It is a binding, which an output of a pipeline is not, or a mapping."""
    if is_pipeline and node.value is not None and not isinstance(node.value, Mapping):
        node.error("wrong_type", "must be a mapping with type", "write {type: uri_folder}")
    elif node.value is not None and not isinstance(node.value, (str, Mapping)):
        node.error("wrong_type", "must be ${{parent.outputs.NAME}}, or a mapping with mode and path")
    if not isinstance(node.value, Mapping):
        return
    refuse_unknown(node, OUTPUT, expressions)
    if node.value.get("version") is not None and node.value.get("name") is None:
        node.at("version").error("missing_field", "Azure ML requires a name with a version", "add name", scope="azure")
    check_output_name(node.at("name"))
    path = node.at("path").value
    if isinstance(path, str) and (reason := unsafe_path(path)):
        node.error("unsafe_path", reason, "write the path without them", value=path)
    _check_choice(node.at("type"), JOB_TYPES, expressions=False)
    _check_choice(node.at("mode"), _OUTPUT_MODES, expressions)


def _check_choice(node: YamlNode, choices: tuple[str, ...], expressions: bool, fix: str = "") -> None:
    value = node.value
    is_binding = expressions and isinstance(value, str) and is_expression(value)
    if value is not None and not is_binding and (not isinstance(value, str) or value.lower() not in choices):
        node.error("invalid_choice", f"must be one of {', '.join(choices)}", fix, scope="azure")
