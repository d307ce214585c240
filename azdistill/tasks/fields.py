"""Fields of a user's row, found under any of the names that public data sets give them."""

from collections.abc import Mapping
from typing import Any

from azdistill.contracts.rows import Message
from azdistill.tasks.task import BadRow


def required(record: Mapping[str, Any], *names: str) -> str:
    """The text under the first of `names` that the row has. Raises BadRow."""
    found = optional(record, *names)
    if found is None:
        fields = ", ".join(sorted(map(repr, record))[:8]) or "none"
        raise BadRow("missing_field", f"neither messages nor {' or '.join(map(repr, names))}; the row has {fields}")
    return found


def optional(record: Mapping[str, Any], *names: str) -> str | None:
    """As `required`, with None for a field that is absent or null. A number is its text."""
    name = next((name for name in names if record.get(name) is not None), None)
    return None if name is None else as_text(name, record[name])


def as_text(name: str, value: Any) -> str:
    """Raises BadRow for what is no text, blank, or no Unicode."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadRow("not_text", f"{name} is {kind(value)}, not text")
    if not value.strip():
        raise BadRow("empty_content", f"{name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise BadRow("not_unicode", f"{name} holds half a character, {value[problem.start]!r}") from None
    return value


def kind(value: Any) -> str:
    """JSON's own word for the type of a value."""
    words = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return words.get(type(value), "a number")


def ask(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return (Message(role="user", content=text),)
