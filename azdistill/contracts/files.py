"""Files between steps: written beside and renamed, so that what has its name is whole."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from azdistill.contracts.errors import DataError

Record = TypeVar("Record", bound=BaseModel)


def write_text(path: Path, text: str) -> None:
    """Write `text` durably: the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises DataError when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; did the step before it finish?") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise DataError(f"{path}: not JSON ({problem})") from None


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
