"""Read rows of a data file for estimates and dry runs, without validating them: step prepare does that."""

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.tasks.records import read_records
from azdistill.tasks.task import BadRow

# Names of the reference answer in public data sets.
REFERENCES = ("gold", "answer", "answers", "summary", "response", "completion", "solution", "highlights", "label")


def first_rows(path: Path, limit: int | None) -> Iterator[Any]:
    """The first `limit` rows of a file or folder, all with None; None for one that cannot be read.

    A file that cannot be read has no rows here.
    """
    return (row for _, row in sourced_rows(path, limit))


def sourced_rows(path: Path, limit: int | None) -> Iterator[tuple[str, Any]]:
    """Same as `first_rows`, with the source of each row."""
    with contextlib.suppress(DataError):
        for source, record in islice(read_records(path), limit):
            yield source, None if isinstance(record, BadRow) else record


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
