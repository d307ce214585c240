"""Tokenized rows in an Arrow file that is mapped into memory, so that a million rows take little of it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from azdistill.contracts.files import sync, write_text
from azdistill.contracts.manifest import sha256_file
from azdistill.students.errors import unwritable
from azdistill.students.template import TokenizedRow, TopK

DIGEST_SUFFIX = ".sha256"

SCHEMA = pa.schema(
    {
        "input_ids": pa.list_(pa.int32()),
        "targets": pa.list_(pa.int32()),  # start and end of each span
        "weight": pa.float64(),
        # A teacher's likely tokens: K entries for each target token, or none at all.
        "top_ids": pa.list_(pa.int32()),
        "top_logprobs": pa.list_(pa.float16()),
        "privileged_ids": pa.list_(pa.int32()),  # empty for none
        "name": pa.string(),
    }
)


class TokenizedRows(Sequence[TokenizedRow]):
    """Tokenized rows with their names, which messages use. Rows are read from the table when they are asked for.

    Their weights are scaled so that the mean over target tokens is 1: then mean losses and learning rates keep their
    meaning, and only the ratios of the weights count.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._batches = [_Batch(batch) for batch in table.to_batches() if batch.num_rows]
        sizes = [len(batch.ids) for batch in self._batches]
        self._starts = np.cumsum([0, *sizes])
        empty = np.zeros(0, dtype=np.int64)
        self.lengths: npt.NDArray[np.int64] = np.concatenate([empty, *(batch.ids.lengths for batch in self._batches)])
        self.num_target_tokens = sum(int(batch.target_tokens.sum()) for batch in self._batches)
        self.num_aligned_tokens = sum(batch.num_aligned_tokens for batch in self._batches)
        self.num_privileged_rows = sum(batch.num_privileged_rows for batch in self._batches)
        weighted = sum(float(batch.weights @ batch.target_tokens) for batch in self._batches)
        self._weight_scale = self.num_target_tokens / weighted if weighted else 1.0

    @classmethod
    def of(cls, rows: Iterable[TokenizedRow]) -> "TokenizedRows":
        """Rows in memory, named by their number."""
        batch = record_batch([(f"row {number}", row) for number, row in enumerate(rows, 1)])
        return cls(table_of([batch]))

    @classmethod
    def open(cls, path: Path) -> "TokenizedRows":
        """The rows that `writing` wrote. See `is_intact`."""
        with pa.memory_map(str(path)) as source:
            return cls(pa.ipc.open_stream(source).read_all())

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> TokenizedRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenizedRow]: ...
    def __getitem__(self, index: int | slice) -> TokenizedRow | list[TokenizedRow]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self._batches[number].row(index - int(self._starts[number]), self._weight_scale)

    def largest_token(self) -> int:
        """The largest id of a token in the rows."""
        return max(batch.ids.largest for batch in self._batches)

    def name(self, index: int) -> str:
        """`row 7 (0f3a...)`: the number of the conversation and its id."""
        name: str = self._table["name"][index].as_py()
        return name


class _Lists:
    """A column of lists of numbers."""

    def __init__(self, column: Any) -> None:
        self._values, self._offsets = column.values.to_numpy(), column.offsets.to_numpy()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> list[int]:
        values: list[int] = self.array(index).tolist()
        return values

    def array(self, index: int) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self._values[self._offsets[index] : self._offsets[index + 1]]
        return values

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        lengths: npt.NDArray[np.int64] = np.diff(self._offsets).astype(np.int64)
        return lengths

    @property
    def largest(self) -> int:
        """The largest number of all lists, -1 if they are empty."""
        return int(self._values.max(initial=-1))

    def span_lengths(self) -> npt.NDArray[np.int64]:
        """Sum over each list of its odd entries less its even ones."""
        ends = np.concatenate([[0], np.cumsum(self._values[1::2].astype(np.int64) - self._values[::2])])
        lengths: npt.NDArray[np.int64] = np.diff(ends[self._offsets // 2])
        return lengths


class _Batch:
    """A record batch of SCHEMA."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.ids, self._targets = _Lists(batch["input_ids"]), _Lists(batch["targets"])
        self.weights = batch["weight"].to_numpy()
        self.target_tokens = self._targets.span_lengths()
        self._top_ids, self._top_logprobs = _Lists(batch["top_ids"]), _Lists(batch["top_logprobs"])
        self._privileged_ids = _Lists(batch["privileged_ids"])
        self.num_privileged_rows = int((self._privileged_ids.lengths > 0).sum())

    def row(self, index: int, weight_scale: float) -> TokenizedRow:
        bounds = self._targets[index]
        targets = tuple(zip(bounds[::2], bounds[1::2], strict=True))
        return TokenizedRow(
            self.ids[index],
            targets,
            float(self.weights[index]) * weight_scale,
            top_k=self._top_k(index),
            privileged_ids=self._privileged_ids[index] or None,
        )

    def _top_k(self, index: int) -> TopK | None:
        ids, count = self._top_ids.array(index), int(self.target_tokens[index])
        if not len(ids):
            return None
        return TopK(ids.reshape(count, -1), self._top_logprobs.array(index).reshape(count, -1))

    @property
    def num_aligned_tokens(self) -> int:
        """Number of target tokens for which a likely token of the teacher is known."""
        rows = (self._top_k(index) for index in range(len(self.ids)))
        return sum(int((top_k.ids[:, 0] >= 0).sum()) for top_k in rows if top_k)


def record_batch(rows: Sequence[tuple[str, TokenizedRow]]) -> pa.RecordBatch:
    """Named rows as a record batch of SCHEMA."""
    columns = {
        "input_ids": [row.input_ids for _, row in rows],
        "targets": [[bound for span in row.targets for bound in span] for _, row in rows],
        "weight": [row.weight for _, row in rows],
        "top_ids": [row.top_k.ids.ravel() if row.top_k else [] for _, row in rows],
        "top_logprobs": [row.top_k.logprobs.ravel() if row.top_k else [] for _, row in rows],
        "privileged_ids": [row.privileged_ids or [] for _, row in rows],
        "name": [name for name, _ in rows],
    }
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def table_of(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(list(batches), schema=SCHEMA)


def is_intact(path: Path) -> bool:
    """True if a file is there as `writing` wrote it: other rows would give another student."""
    try:
        return path.with_suffix(DIGEST_SUFFIX).read_text(encoding="utf-8") == sha256_file(path)
    except (OSError, ValueError):
        return False


@contextmanager
def writing(path: Path) -> Iterator[pa.ipc.RecordBatchStreamWriter]:
    """Write record batches of SCHEMA to `path`. The file appears when the block has ended without an error, and then
    its digest next to it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(unfinished), "wb") as stream, pa.ipc.new_stream(stream, SCHEMA) as writer:
            yield writer
        sync(unfinished)  # before it has its name: a crash leaves no cut file
        digest = sha256_file(unfinished)
        unfinished.rename(path)
        write_text(path.with_suffix(DIGEST_SUFFIX), digest)
    except OSError as error:
        raise unwritable(path, "the tokenized rows", error) from error
    finally:
        unfinished.unlink(missing_ok=True)
