"""Prompts on disk, and what their split depends on in memory: 61 bytes a row."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import orjson

from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Split, prompt_id
from azdistill.data.cases import SourcedCase, fingerprint

Integers = npt.NDArray[np.int64]
# Types of the columns, as in module array, in the order of RowTable.
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


@dataclass
class StoredRows:
    """Rows of files of one split: the columns of RowTable and the lines of their prompts.

    `name` is an index of `names`, `offset` a position in `lines`.
    """

    names: dict[str, int] = field(default_factory=dict)
    columns: "dict[str, array[Any]]" = field(
        default_factory=lambda: {name: array(code) for name, code in _TYPES.items()}
    )
    lines: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.columns["offset"])

    def add(self, case: SourcedCase, config: PrepareConfig) -> None:
        """Add a row. The group's column is no column of the prompt, unless the evaluation needs it."""
        name, _, line = case.source.rpartition(":")
        identity, gold, group = prompt_id(case.case.messages), case.case.gold, None
        if config.group_column:
            group = case.columns.get(config.group_column)
            columns = {name: value for name, value in case.columns.items() if name in config.sliced_by}
            case = replace(case, columns=columns)
        numbers = (
            0,
            self.names.setdefault(name, len(self.names)),
            int(line),
            int(identity, 16),
            hash(fingerprint(case.case.messages)),
            _draw(config.seed, identity if group is None else f"group {group}"),
            0 if group is None else hash(group),
            0 if gold is None else hash(gold),
            len(self.lines),
        )
        for column, number in zip(self.columns.values(), numbers, strict=True):
            column.append(number)
        self.lines += prompt_line(case, identity)


def prompt_line(case: SourcedCase, identity: str) -> bytes:
    """The line of a case as a training prompt: the JSON of `prompt_of`, which takes five times as long."""
    messages, gold, weight = case.case.messages, case.case.gold, case.case.weight
    prompt = {
        "id": identity,
        "split": "train",
        "messages": [
            {"role": turn.role, "content": turn.content, **({} if turn.weight else {"weight": 0})} for turn in messages
        ],
        "gold": gold,
        "source": case.source,
        **({} if weight == 1 else {"weight": weight}),
        **({"columns": dict(case.columns)} if case.columns else {}),
    }
    return orjson.dumps(prompt, option=orjson.OPT_APPEND_NEWLINE)


class RowStore:
    """Writes the prompts of all files to one file, and reads them again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = StoredRows()
        self._stream: BinaryIO = path.open("wb")
        self._size = 0

    def close(self) -> None:
        self._stream.close()

    def add(self, rows: StoredRows, split: Split) -> None:
        """Store rows of the files of a split."""
        names = [self._rows.names.setdefault(name, len(self._rows.names)) for name in rows.names]
        columns = {
            **rows.columns,
            "file": array("b", [SPLITS.index(split)]) * len(rows),
            "name": array("i", (names[name] for name in rows.columns["name"])),
            "offset": array("q", (self._size + offset for offset in rows.columns["offset"])),
        }
        for name, column in columns.items():
            self._rows.columns[name].extend(column)
        self._size += self._stream.write(rows.lines)

    def table(self) -> RowTable:
        """The rows that were added. No row can be added after it."""
        self._stream.flush()
        return RowTable(
            **{name: np.frombuffer(column, dtype=column.typecode) for name, column in self._rows.columns.items()}
        )

    def source(self, row: int) -> str:
        """`file:line` of a row."""
        return f"{list(self._rows.names)[self._rows.columns['name'][row]]}:{self._rows.columns['line'][row]}"

    def lines(self, rows: npt.NDArray[Any]) -> Iterator[bytes]:
        """The lines of rows in ascending order."""
        offsets = self._rows.columns["offset"]
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
