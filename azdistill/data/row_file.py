"""Records in a temporary file, read by index."""

from array import array
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

Record = TypeVar("Record", bound=BaseModel)

# Bytes of rows that stay in memory.
IN_MEMORY = 64 * 1024 * 1024


class RowFile(Generic[Record]):
    """A list of records, of which memory has only the offsets."""

    def __init__(self, record: type[Record]) -> None:
        self._record = record
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed by __exit__)
        self._ends = array("q", [0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: Record) -> None:
        self._file.seek(self._ends[-1])
        self._ends.append(self._ends[-1] + self._file.write(row.model_dump_json().encode()))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Record:
        self._file.seek(self._ends[index])
        return self._record.model_validate_json(self._file.read(self._ends[index + 1] - self._ends[index]))

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))
