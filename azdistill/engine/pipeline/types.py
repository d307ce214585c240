"""Types of inputs: which values and which other types they accept, with bounds and choices."""

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
    """True if an input of type `accepted` accepts a value of another type. A custom_model is a file or a folder."""
    if ANY in (type, accepted) or type == accepted or not (is_known(type) and is_known(accepted)):
        return True
    if type in DATA_TYPES and accepted in DATA_TYPES:
        return "uri_file" not in (type, accepted) or "custom_model" in (type, accepted)
    return type == "integer" and accepted == "number"


def mismatch(port: InputPort, value: Scalar | Data) -> Mismatch | None:
    """The reason why an input rejects a literal, a file or a folder; None if it accepts the value."""
    if isinstance(value, Data):
        if accepts_type(port.type, value.type):
            return None
        return Mismatch("type_mismatch", f"is of type {value.type}, but the input is of type {port.type}")
    if port.is_data:
        message = f"is a literal, but the input is of type {port.type}"
        return Mismatch("type_mismatch", message, "write a mapping with type and path")
    if not _has_type(value, port.type):
        is_quoted_number = isinstance(value, str) and value.replace(".", "", 1).isdigit()
        return Mismatch("wrong_type", f"must be {_NAMES[port.type]}", "remove the quotes" if is_quoted_number else "")
    if port.options and value not in port.options:
        return Mismatch("invalid_choice", f"must be one of {', '.join(map(str, port.options))}")
    if isinstance(value, (int, float)) and port.minimum is not None and value < port.minimum:
        return Mismatch("out_of_range", f"must be at least {port.minimum}")
    if isinstance(value, (int, float)) and port.maximum is not None and value > port.maximum:
        return Mismatch("out_of_range", f"must be at most {port.maximum}")
    return None


def is_unquoted(port: InputPort, value: Scalar | Data) -> bool:
    """True if a number is given to a string input: Azure ML accepts it as text."""
    return port.type == "string" and isinstance(value, (int, float))


def _has_type(value: Scalar, type: str) -> bool:
    if type == "string" or type not in _PYTHON_TYPES:
        return True
    return isinstance(value, _PYTHON_TYPES[type]) and (type == "boolean") == isinstance(value, bool)
