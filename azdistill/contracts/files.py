"""Write and read rows of JSON; files of `azdistill.engine.files` are complete or absent."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from azdistill.contracts.errors import DataError
from azdistill.contracts.problems import explain
from azdistill.engine.files import disk_error as disk_error
from azdistill.engine.files import new_file as new_file
from azdistill.engine.files import read_json as read_json
from azdistill.engine.files import read_limited as read_limited
from azdistill.engine.files import sync as sync
from azdistill.engine.files import write_json as write_json
from azdistill.engine.files import write_text as write_text

Record = TypeVar("Record", bound=BaseModel)


def write_rows(path: Path, rows: Iterable[BaseModel]) -> int:
    """Write one JSON object per line. Returns the number of rows."""
    count = 0
    with new_file(path) as stream:
        for row in rows:
            stream.write(line_of(row))
            count += 1
    return count


def line_of(row: BaseModel) -> bytes:
    """The line of a row in a JSONL file."""
    return row.model_dump_json().encode() + b"\n"


def read_rows(path: Path, record: type[Record]) -> Iterator[Record]:
    """Read the rows that a step wrote. Raises DataError with the line of a row that is not a `record`."""
    if not path.is_file():
        fix = "did the step that writes it finish?"
        raise DataError("no such file", code="missing_file", fix=fix, file=path)
    with path.open("rb") as stream:  # pydantic reports bytes that are not UTF-8, with their line
        for number, line in enumerate(stream, 1):
            try:
                yield record.model_validate_json(line)
            except ValidationError as error:
                message = f"not a {record.__name__} ({explain(error)})"
                raise DataError(message, code="invalid_row", file=path, line=number) from None
