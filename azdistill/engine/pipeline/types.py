"""What fits into an input: Azure ML's types, bounds and choices."""

from azdistill.engine.pipeline.documents import ANY, DATA_TYPES, LITERAL_TYPES, Data, InputPort, Scalar

_KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
}
_FOLDERS = {"uri_folder", "mltable", "mlflow_model", "triton_model"}


def is_known(kind: str) -> bool:
    return kind in DATA_TYPES or kind in LITERAL_TYPES or kind == ANY


def fits(given: str, wanted: str) -> bool:
    """Whether a value of one type may go into an input of another. A custom_model is a file or a folder."""
    if ANY in (given, wanted) or given == wanted or not (is_known(given) and is_known(wanted)):
        return True
    if given in DATA_TYPES and wanted in DATA_TYPES:
        return "uri_file" not in (given, wanted) or "custom_model" in (given, wanted)
    return given == "integer" and wanted == "number"


def misfit(port: InputPort, value: Scalar | Data) -> str | None:
    """Why a literal or a file can't be given to an input, or None."""
    if isinstance(value, Data):
        return None if fits(value.type, port.type) else f"of type {value.type}, and the input of type {port.type}"
    if port.is_data:
        return f"a literal, and the input of type {port.type}; give a mapping with type and path"
    if not _is_a(port.type, value):
        return f"expected {port.type}{_quotes(port, value)}"
    return _range(port, value)


def needs_quotes(port: InputPort, value: Scalar | Data) -> bool:
    """Azure ML takes a number for a string, as its text."""
    return port.type == "string" and isinstance(value, (int, float))


def _is_a(kind: str, value: Scalar) -> bool:
    if kind == "string" or kind not in _KINDS:
        return True
    return isinstance(value, _KINDS[kind]) and (kind == "boolean") == isinstance(value, bool)


def _quotes(port: InputPort, value: Scalar) -> str:
    return "; take the quotes off" if isinstance(value, str) and value.replace(".", "", 1).isdigit() else ""


def _range(port: InputPort, value: Scalar) -> str | None:
    if port.options and value not in port.options:
        return f"expected one of {', '.join(map(str, port.options))}"
    if isinstance(value, (int, float)) and port.minimum is not None and value < port.minimum:
        return f"expected at least {port.minimum}"
    if isinstance(value, (int, float)) and port.maximum is not None and value > port.maximum:
        return f"expected at most {port.maximum}"
    return None
