"""Prompts on disk, and what their split depends on in memory: 61 bytes a row."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Split
from azdistill.data.cases import SourcedCase, prompt_of

Integers = npt.NDArray[np.int64]
# Types of the columns, as in module array, in the order of RowTable. From `line` to `gold` they are those of StoredRow.
_TYPES = {
    "file": "b",
    "name": "i",
    "line": "q",
    "identity": "Q",
    "fingerprint": "q",
    "draw": "d",
    "group": "q",
    "gold": "q",
    "offset": "q",
}
# Text of every stored line; another split replaces it.
_STORED_SPLIT = b'"split":"train"'


@dataclass(frozen=True)
class RowTable:
    """One entry a row, in the order in which the rows were read.

    `file`: index in SPLITS of the file's split. `name`, `line`: its source. `identity`: the prompt's id. Equal
    `fingerprint`, `group` or `gold` are equal texts in this process; 0: the row has no group or reference. `draw`: in
    [0, 1). `offset`: of the row's line in the store.
    """

    file: npt.NDArray[np.int8]
    name: npt.NDArray[np.int32]
    line: Integers
    identity: npt.NDArray[np.uint64]
    fingerprint: Integers
    draw: npt.NDArray[np.float64]
    group: Integers
    gold: Integers
    offset: Integers

    def __len__(self) -> int:
        return len(self.file)


class StoredRow(NamedTuple):
    """One row as the store keeps it: the values of RowTable, and the line of its prompt."""

    name: str
    line: int
    identity: int
    fingerprint: int
    draw: float
    group: int
    gold: int
    prompt: bytes


def stored_row(case: SourcedCase, config: PrepareConfig) -> StoredRow:
    """A row as the store keeps it. The group's column is no column of the prompt, unless the evaluation needs it."""
    name, _, line = case.source.rpartition(":")
    group = None
    if config.group_column:
        group = case.columns.get(config.group_column)
        case = replace(case, columns={name: value for name, value in case.columns.items() if name in config.sliced_by})
    prompt = prompt_of(case, "train")
    return StoredRow(
        name=name,
        line=int(line),
        identity=int(prompt.id, 16),
        fingerprint=hash(case.fingerprint),
        draw=_draw(config.seed, prompt.id if group is None else f"group {group}"),
        group=0 if group is None else hash(group),
        gold=0 if prompt.gold is None else hash(prompt.gold),
        prompt=prompt.model_dump_json().encode() + b"\n",
    )


class RowStore:
    """Writes the prompts of all files to one file, and reads them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: dict[str, int] = {}
        self._columns: dict[str, array[Any]] = {name: array(code) for name, code in _TYPES.items()}
        self._stream: BinaryIO = path.open("wb")
        self._size = 0

    def close(self) -> None:
        self._stream.close()

    def add(self, row: StoredRow, split: Split) -> None:
        """Store a row of the file of a split."""
        name = self._names.setdefault(row.name, len(self._names))
        numbers = (SPLITS.index(split), name, *row[1:-1], self._size)
        for column, number in zip(self._columns.values(), numbers, strict=True):
            column.append(number)
        self._size += self._stream.write(row.prompt)

    def table(self) -> RowTable:
        """The rows that were added. No row can be added after it."""
        self._stream.flush()
        return RowTable(
            **{name: np.frombuffer(column, dtype=column.typecode) for name, column in self._columns.items()}
        )

    def source(self, row: int) -> str:
        """`file:line` of a row."""
        return f"{list(self._names)[self._columns['name'][row]]}:{self._columns['line'][row]}"

    def lines(self, rows: npt.NDArray[Any]) -> Iterator[bytes]:
        """The lines of rows in ascending order."""
        offsets = self._columns["offset"]
        with self._path.open("rb", buffering=1 << 20) as stream:
            position = -1
            for row in rows:
                if position != (offset := offsets[row]):
                    stream.seek(offset)
                line = stream.readline()
                position = offset + len(line)
                yield line

    def texts(self, rows: npt.NDArray[Any]) -> Iterator[str]:
        """The text of the conversations of rows in ascending order."""
        for line in self.lines(rows):
            yield " ".join(message["content"] for message in orjson.loads(line)["messages"])

    def prompts(self, rows: npt.NDArray[Any], split: Split) -> Iterator[bytes]:
        """The lines of rows in ascending order, as prompts of a split."""
        for line in self.lines(rows):
            yield line.replace(_STORED_SPLIT, f'"split":"{split}"'.encode(), 1)


def _draw(seed: int, key: str) -> float:
    """A number in [0, 1) that depends only on seed and key."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
