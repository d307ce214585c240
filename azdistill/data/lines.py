"""A user's JSONL file, line by line. What makes the whole file unusable is an error here, not a bad row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.tasks.fields import kind
from azdistill.tasks.task import BadRow


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that isn't blank. Raises DataError for a file that isn't there, holds no
    row, or isn't UTF-8; the last when that line is reached."""
    if not path.is_file():
        what = "is a folder; name a JSONL file" if path.is_dir() else "no such file; check the path"
        raise DataError(f"{path}: {what}")
    empty = True
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            text = _decoded(path, number, line)
            if text.strip():
                empty = False
                yield number, text.rstrip("\r\n")
    if empty:
        raise DataError(f"{path}: the file holds no row; give at least one JSON object, one a line")


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as problem:
        byte = f"byte 0x{line[problem.start]:02x} at column {problem.start + 1}"
        raise DataError(f"{path}:{number}: not UTF-8 ({byte}); save the file as UTF-8") from None


def read_object(text: str) -> dict[str, Any]:
    """One line as a JSON object. Raises BadRow."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as problem:
        raise BadRow("broken_json", f"{problem.msg} at column {problem.colno}") from None
    except (ValueError, RecursionError) as problem:  # a number of thousands of digits, or lists in lists in lists
        raise BadRow("broken_json", str(problem).partition(";")[0]) from None
    if not isinstance(value, dict):
        raise BadRow("not_an_object", f"the row is {kind(value)}, not a JSON object")
    return value
