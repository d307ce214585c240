"""Files between steps: written to a temporary file and renamed, so that a file is complete or absent."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from azdistill.contracts.errors import DataError
from azdistill.engine.files import read_json as read_json
from azdistill.engine.files import write_json as write_json
from azdistill.engine.files import write_text as write_text

Record = TypeVar("Record", bound=BaseModel)


def write_rows(path: Path, rows: Iterable[BaseModel]) -> int:
    """Write one JSON object a line; returns the number of rows."""
    lines = [row.model_dump_json() for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)


def read_rows(path: Path, record: type[Record]) -> Iterator[Record]:
    """Read rows that a step wrote. Raises DataError with file and line for a broken one."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; did the step before it finish?")
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield record.model_validate_json(line)
            except ValidationError as problem:
                raise DataError(f"{path}:{number}: not a {record.__name__} ({problem.errors()[0]['msg']})") from None
