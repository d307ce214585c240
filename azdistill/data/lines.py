"""Read a user's JSONL file line by line. Errors here make the file unusable; a bad row is rejected instead."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.tasks.fields import json_type
from azdistill.tasks.task import BadRow


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is not blank.

    Raises DataError for a file that is missing, is empty, or is not UTF-8 (when that line is reached).
    """
    if os.path.isdir(path):
        raise DataError("is a folder", file=path, fix="name a JSONL file")
    if not os.path.isfile(path):
        raise DataError("no such file", file=path, fix="check the path")
    empty = True
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            text = _decode(path, number, line)
            if text.strip():
                empty = False
                yield number, text.rstrip("\r\n")
    if empty:
        raise DataError("the file has no rows", file=path, fix="write one JSON object a line")


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
        raise DataError(f"not UTF-8 ({byte})", file=path, line=number, fix="save the file as UTF-8") from None


def read_object(text: str) -> dict[str, Any]:
    """One line as a JSON object. Raises BadRow."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadRow("broken_json", f"{error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or deeply nested lists
        raise BadRow("broken_json", str(error).partition(";")[0]) from None
    if not isinstance(value, dict):
        raise BadRow("not_an_object", f"the row is {json_type(value)}, not a JSON object")
    return value
