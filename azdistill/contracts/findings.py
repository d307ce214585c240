"""Sentences for pydantic errors of a job file. Replaced by `azdistill.contracts.problems`."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from azdistill.engine import problems
from azdistill.engine.problems import SECRET_NAME as SECRET_NAME
from azdistill.engine.problems import may_be_secret as may_be_secret

Place = problems.FieldPath
named = problems.dotted
number = problems.format_number

_WORDS: Mapping[str, str] = {
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected no fewer entries than {min_length}",
    "too_long": "expected no more entries than {max_length}",
    "literal_error": "expected {expected}",
    "model_type": "expected fields (name: value), one a line",
    "dict_type": "expected fields (name: value), one a line",
    "tuple_type": "expected a list, each entry on a line of its own after a dash",
    "list_type": "expected a list, each entry on a line of its own after a dash",
    "date_parsing": "expected a date such as 2026-09-02",
    "date_from_datetime_parsing": "expected a date such as 2026-09-02",
    "string_pattern_mismatch": "expected the form {pattern}",
    "extra_forbidden": "unknown field",
    "missing": "required, and not given",
}
"""pydantic's kinds of error in words, with the bounds of the field."""


def sentence(error: ErrorDetails, name: str, text: str) -> str:
    """`train.learning_rate=0.2: expected at most 0.01`. The value is shown where it can't be a secret."""
    hidden = error["type"] in ("missing", "extra_forbidden") or error["input"] is None
    return f"{name}{'' if hidden else _shown(name, error['input'])}: {text}" if name else text


def expected(error: ErrorDetails) -> str:
    """What would have been right."""
    words = _WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else error["msg"].removeprefix("Value error, ")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return ""
    if may_be_secret(name, value):
        return " (not shown, it may be a secret)"
    text = repr(value) if not isinstance(value, float) else number(value)
    return f"={text}" if len(text) <= 80 else f"={text[:77]}..."
