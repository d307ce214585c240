"""Read rows of a data file for estimates and dry runs, without validating them: step prepare does that."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

# Names of the reference answer in public data sets.
REFERENCES = ("gold", "answer", "answers", "summary", "response", "completion", "solution", "highlights", "label")


def first_rows(path: Path, limit: int | None) -> Iterator[Any]:
    """The first `limit` rows of a file, all with None. A line that is not JSON is yielded as text."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in islice(stream, limit):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                yield line


def count_rows(path: Path) -> int:
    """Number of lines of a file."""
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            count, last = count + chunk.count(b"\n"), chunk
    return count + (not last.endswith(b"\n"))


def row_texts(row: Any) -> Iterator[str]:
    """Every text in a row. It is no recursion, because a row may be nested deeply."""
    waiting = [row]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            waiting += reversed(value.values() if isinstance(value, dict) else value)


def reference_in(row: Any) -> str:
    """The reference answer of a row, or an empty string."""
    if not isinstance(row, dict):
        return ""
    turns = row.get("messages")
    last = turns[-1] if isinstance(turns, list) and turns else None
    if isinstance(last, dict) and last.get("role") == "assistant":
        return str(last.get("content"))
    return next((_first(row[name]) for name in REFERENCES if row.get(name)), "")


def _first(reference: Any) -> str:
    """A reference, or the first of several: SQuAD has `{"text": [...]}`."""
    if isinstance(reference, dict):
        reference = reference.get("text", "")
    if isinstance(reference, list):
        reference = reference[0] if reference else ""
    return str(reference)
