"""Read the teacher's log probabilities for a loss that learns from them. File format: docs/logprobs.md.

Shards are memory-mapped: an answer is read from disk when it is used.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from azdistill.contracts.errors import DataError
from azdistill.contracts.logprobs import FORMAT, SHARDS


@dataclass(frozen=True, eq=False)
class AnswerLogprobs:
    """Log probabilities of the T tokens of one answer, and of the K most likely tokens at each position.

    Ids index `table`, the tokens of a shard as UTF-8 bytes. The tokens of `ids` spell the answer; the first one may
    start with white space that the answer lacks. Unused entries of the top K have id -1 and log probability -inf. Log
    probabilities are natural logarithms; -inf also stands for a chosen token whose value the endpoint did not report.

    Shapes: `ids` and `logprobs` [T], `top_ids` and `top_logprobs` [T, K].
    """

    table: list[bytes]
    ids: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.float16]
    top_ids: npt.NDArray[np.int32]
    top_logprobs: npt.NDArray[np.float16]


class TeacherLogprobs(Mapping[str, AnswerLogprobs]):
    """Log probabilities in a folder by the store key of their answer; empty when the folder has no shards.

    Raises DataError for a shard that can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._rows: dict[str, tuple[_ShardReader, int]] = {}
        for path in sorted(folder.glob(SHARDS)):
            shard = _ShardReader(path)
            self._rows |= {key: (shard, row) for row, key in enumerate(shard.keys())}

    def __getitem__(self, key: str) -> AnswerLogprobs:
        shard, row = self._rows[key]
        return shard.answer(row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class _ShardReader:
    def __init__(self, path: Path) -> None:
        self._file = _open(path)
        self._row_ends: npt.NDArray[np.int64] = self._file.get_tensor("row_ends")

    def keys(self) -> list[str]:
        return [bytes(key).hex() for key in self._file.get_tensor("row_keys")]

    @cached_property
    def table(self) -> list[bytes]:
        content, ends = bytes(self._file.get_tensor("token_bytes")), self._file.get_tensor("token_ends").tolist()
        return [content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def answer(self, row: int) -> AnswerLogprobs:
        start, end = int(self._row_ends[row - 1]) if row else 0, int(self._row_ends[row])
        names = ("ids", "logprobs", "top_ids", "top_logprobs")
        return AnswerLogprobs(self.table, *(self._file.get_slice(name)[start:end] for name in names))


def _open(path: Path) -> Any:
    try:
        shard: Any = safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        fix = "run the teacher step again"
        raise DataError(f"can't be read ({error})", file=path, code="unreadable_logprobs", fix=fix) from None
    written = (shard.metadata() or {}).get("format")
    if written != FORMAT:
        raise DataError(
            f"format {written!r}: must be {FORMAT!r}", file=path, code="unknown_format", fix="update azdistill"
        )
    return shard
