"""What is wrong with what a user gave, in words that are safe to print and say what to do."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]

Severity = Literal["error", "warning"]

SECRET_NAME = re.compile(r"(^|_)(api)?(key|token|secret|password|credentials?)($|_)", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(sk-|eyJ|Bearer )\S+|(?=\S*\d)[A-Za-z0-9+/_=-]{40,}")

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


@dataclass(frozen=True)
class Finding:
    """One finding. `text` begins with the field and its value; `str()` puts file and line before it. Line 0 is
    the file as a whole."""

    severity: Severity
    file: Path
    line: int
    field: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {'warning: ' if self.severity == 'warning' else ''}{self.text}"


def findings(problem: ValidationError) -> Iterator[tuple[Place, str]]:
    """Place and sentence of each finding."""
    for error in problem.errors(include_url=False):
        yield error["loc"], sentence(error, named(error["loc"]), expected(error))


def explain(problem: ValidationError) -> str:
    """All findings in one line."""
    return "; ".join(text for _, text in findings(problem))


def named(place: Place) -> str:
    """`teacher.teachers.0.model` for a place in a document."""
    return ".".join(str(part) for part in place)


def sentence(error: ErrorDetails, name: str, text: str) -> str:
    """`training.learning_rate=0.2: expected at most 0.01`. The value is shown where it can't be a secret."""
    hidden = error["type"] in ("missing", "extra_forbidden") or error["input"] is None
    return f"{name}{'' if hidden else _shown(name, error['input'])}: {text}" if name else text


def expected(error: ErrorDetails) -> str:
    """What would have been right."""
    words = _WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else error["msg"].removeprefix("Value error, ")


def may_be_secret(name: str, value: Any) -> bool:
    """Whether a value stays out of messages: a text under a name that speaks of keys, or that looks like one."""
    field = name.rpartition(".")[2]
    return isinstance(value, str) and bool(SECRET_NAME.search(field) or _SECRET_VALUE.fullmatch(value))


def number(value: float) -> str:
    """2e-5 as people write it."""
    return re.sub(r"e([-+])0", r"e\1", f"{value:g}")


def _shown(name: str, value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return ""
    if may_be_secret(name, value):
        return " (not shown, it may be a secret)"
    text = repr(value) if not isinstance(value, float) else number(value)
    return f"={text}" if len(text) <= 80 else f"={text[:77]}..."
