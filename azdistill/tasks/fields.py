"""Read the fields of a user's row under any of the names that public data sets give them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from azdistill.contracts.rows import Gold, Message
from azdistill.tasks.task import BadRow

# Fields of a turn of a conversation.
_TURN = {"role", "content", "from", "value"}


def required(record: Mapping[str, Any], *names: str) -> str:
    """The text of the first of the fields `names` that the row has. Raises BadRow."""
    text = optional(record, *names)
    if text is None:
        fields = ", ".join(sorted(map(repr, record))[:8]) or "none"
        message = f"has none of {', '.join(('messages', *names))}; the row has {fields}"
        raise BadRow("missing_field", message + _nested_rows(record))
    return text


def _nested_rows(record: Mapping[str, Any]) -> str:
    """The hint for a JSON object that holds rows, such as {"data": [...]}; empty for another one."""
    for name, items in record.items():
        if isinstance(items, list) and items and all(isinstance(item, dict) for item in items):
            return "" if items[0].keys() & _TURN else f"; if its {name!r} are the rows, write them one a line"
    return ""


def optional(record: Mapping[str, Any], *names: str) -> str | None:
    """The text of the first of the fields `names` that is not null; None without any. A number becomes text."""
    name = next((name for name in names if record.get(name) is not None), None)
    return None if name is None else as_text(name, record[name])


def references(record: Mapping[str, Any], *names: str) -> Gold | None:
    """The reference answer in the first of the fields `names` that is not null: text, or a list of right answers."""
    name = next((name for name in names if record.get(name) is not None), None)
    if name is None:
        return None
    value = record[name]
    return one_or_several(name, value) if isinstance(value, list) else as_text(name, value)


def one_or_several(name: str, values: Sequence[Any]) -> Gold | None:
    """Different texts of a list: one as text, several as a tuple, none as None."""
    texts = tuple(dict.fromkeys(as_text(name, value) for value in values))
    return texts if len(texts) > 1 else next(iter(texts), None)


def as_text(name: str, value: Any) -> str:
    """The value of a field as text. Raises BadRow for another type, blank text, or invalid Unicode."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(name, value)
    if not isinstance(value, str):
        raise BadRow("not_text", f"{name} is {json_type(value)}, not text")
    if not value.strip():
        raise BadRow("empty_content", f"{name} is empty")
    if "\0" in value:
        raise BadRow("not_text", f"{name} contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRow("not_unicode", f"{name} contains {_invalid(value[error.start])}") from None
    return value


def _invalid(character: str) -> str:
    """Half of a surrogate pair. Bytes of a CSV file that are not UTF-8 are read as U+DC80 to U+DCFF."""
    byte = ord(character) - 0xDC00
    in_csv = f", or byte 0x{byte:02x} of a CSV file that is not UTF-8" if 0x80 <= byte <= 0xFF else ""
    return f"half a character, {character!r}{in_csv}; save the file as UTF-8"


def _number(name: str, value: int | float) -> str:
    """A number as text. Tables of pandas have NaN where a value is missing."""
    if not math.isfinite(value):
        raise BadRow("not_text", f"{name} is {value}, not text")
    return str(value)


def as_object(value: Any) -> Mapping[str, Any]:
    """A JSON object; empty for any other value."""
    return value if isinstance(value, dict) else {}


JSON_TYPES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def json_type(value: Any) -> str:
    """JSON's name for the type of a value, with an article, or Python's name for a type that JSON does not have."""
    return JSON_TYPES.get(type(value), type(value).__name__)


def ask(text: str) -> tuple[Message, ...]:
    """A conversation of one user turn."""
    return (Message(role="user", content=text),)
