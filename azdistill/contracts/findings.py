"""What pydantic found wrong, in words that are safe to print."""

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]

_MAY_HOLD_A_SECRET = ("key", "token", "secret", "password", "credential")


def findings(problem: ValidationError) -> Iterator[tuple[Place, str]]:
    """Place and sentence of each finding.

    A value is shown where it helps and can't be a secret: not that of an unknown
    field, nor of a field whose name speaks of keys.
    """
    for error in problem.errors(include_url=False):
        yield error["loc"], _sentence(error)


def explain(problem: ValidationError) -> str:
    """All findings in one line."""
    return "; ".join(sentence for _, sentence in findings(problem))


def named(place: Place) -> str:
    """`teacher.teachers.0.model` for a place in a document."""
    return ".".join(str(part) for part in place)


def _sentence(error: ErrorDetails) -> str:
    name = named(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{name}: unknown field; take it out, or look for its name with --help"
    if error["type"] == "missing":
        return f"{name}: required, and not given"
    text = error["msg"].removeprefix("Value error, ")
    return f"{name}{_shown(name, error['input'])}: {text}" if name else text


def _shown(name: str, value: Any) -> str:
    secret = any(word in name.lower() for word in _MAY_HOLD_A_SECRET)
    return "" if secret or isinstance(value, (dict, list, tuple)) else f"={value!r}"
