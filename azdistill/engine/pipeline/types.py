"""Types of inputs: which values and which other types they accept, with bounds and choices."""

import contextlib
from typing import NamedTuple

from azdistill.engine.pipeline.model import ANY, DATA_TYPES, LITERAL_TYPES, Data, InputPort, Scalar

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
}
_NAMES = {"integer": "an integer", "number": "a number", "boolean": "true or false"}


class Mismatch(NamedTuple):
    """The reason why an input rejects a value: code, message and fix of a problem."""

    code: str
    message: str
    fix: str = ""


def is_known(type: str) -> bool:
    """True if a type is one of Azure ML's or `ANY`."""
    return type in DATA_TYPES or type in LITERAL_TYPES or type == ANY


def accepts_type(accepted: str, type: str) -> bool:
    """True if an input of type `accepted` accepts a value of another type. Of two types of data, that of the job
    counts on Azure ML, see `is_unlikely`."""
    if ANY in (type, accepted) or type == accepted or not (is_known(type) and is_known(accepted)):
        return True
    return (type in DATA_TYPES and accepted in DATA_TYPES) or (type == "integer" and accepted == "number")


def is_unlikely(accepted: str, type: str) -> bool:
    """True if a file is given to an input for a folder, or the other way round. A custom_model or a path is either."""
    folders = {accepted, type} - {"uri_file"}
    return "uri_file" in (accepted, type) and bool(folders) and folders <= {"uri_folder", "mltable", "mlflow_model"}


def as_typed(type: str, value: Scalar) -> Scalar:
    """The value that a text has for an input: Azure ML sends all literals as text. The text where it has none."""
    if not isinstance(value, str):
        return str(value) if type == "string" else value
    if type == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    with contextlib.suppress(ValueError):
        if type == "integer":
            return int(value)
        if type == "number":
            return float(value)
    return value


def mismatch(port: InputPort, value: Scalar | Data) -> Mismatch | None:
    """The reason why an input rejects a literal, a file or a folder; None if it accepts the value."""
    if isinstance(value, Data):
        if accepts_type(port.type, value.type):
            return None
        return Mismatch("type_mismatch", f"is of type {value.type}, but the input is of type {port.type}")
    if port.is_data:
        message = f"is a literal, but the input is of type {port.type}"
        return Mismatch("type_mismatch", message, "write a mapping with type and path")
    value = as_typed(port.type, value)
    if not _has_type(value, port.type):
        return Mismatch("wrong_type", f"must be {_NAMES[port.type]}")
    if port.options and value not in [as_typed(port.type, option) for option in port.options]:
        return Mismatch("invalid_choice", f"must be one of {', '.join(map(str, port.options))}")
    if isinstance(value, (int, float)) and port.minimum is not None and value < port.minimum:
        return Mismatch("out_of_range", f"must be at least {port.minimum}")
    if isinstance(value, (int, float)) and port.maximum is not None and value > port.maximum:
        return Mismatch("out_of_range", f"must be at most {port.maximum}")
    return None


def is_unquoted(port: InputPort, value: Scalar | Data) -> bool:
    """True if a number or a boolean is given to a string input: Azure ML accepts it as text, `True` for true."""
    return port.type == "string" and isinstance(value, (int, float))


def _has_type(value: Scalar, type: str) -> bool:
    if type == "string" or type not in _PYTHON_TYPES:
        return True
    return isinstance(value, _PYTHON_TYPES[type]) and (type == "boolean") == isinstance(value, bool)
