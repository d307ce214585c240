"""What the teacher thought of each token, for a loss that learns from it. See docs/logprobs.md.

A shard is mapped, not loaded: an answer is read when it is asked for.
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
    """The T tokens of one completion, of each the K likeliest at its place.

    Ids are places in `table`, which the answers of a shard share; there tokens are UTF-8 bytes. Those of `ids` spell
    the completion, the first perhaps with white space in front that it lacks. A place that holds no token has id -1
    and log probability -inf. Natural logarithms; where the endpoint didn't tell that of the chosen token it is -inf.
    """

    table: list[bytes]
    ids: npt.NDArray[np.int32]
    """[T]"""
    logprobs: npt.NDArray[np.float16]
    """[T]"""
    top_ids: npt.NDArray[np.int32]
    """[T, K]"""
    top_logprobs: npt.NDArray[np.float16]
    """[T, K]"""


class TeacherLogprobs(Mapping[str, AnswerLogprobs]):
    """Those in a folder, by key of the store; none when it has no shards. Raises DataError for a shard that can't be
    read."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, tuple[_Shard, int]] = {}
        for path in sorted(folder.glob(SHARDS)):
            shard = _Shard(path)
            self._places |= {key: (shard, row) for row, key in enumerate(shard.keys())}

    def __getitem__(self, key: str) -> AnswerLogprobs:
        shard, row = self._places[key]
        return shard.answer(row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class _Shard:
    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        self._ends: npt.NDArray[np.int64] = self._file.get_tensor("row_ends")

    def keys(self) -> list[str]:
        return [bytes(key).hex() for key in self._file.get_tensor("row_keys")]

    @cached_property
    def table(self) -> list[bytes]:
        content, ends = bytes(self._file.get_tensor("token_bytes")), self._file.get_tensor("token_ends").tolist()
        return [content[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]

    def answer(self, row: int) -> AnswerLogprobs:
        begin, end = int(self._ends[row - 1]) if row else 0, int(self._ends[row])
        names = ("ids", "logprobs", "top_ids", "top_logprobs")
        return AnswerLogprobs(self.table, *(self._file.get_slice(name)[begin:end] for name in names))


def _opened(path: Path) -> Any:
    try:
        found: Any = safe_open(path, framework="np")
    except (SafetensorError, OSError) as problem:
        raise DataError(f"{path}: no file of log probabilities ({problem}); run the teacher step again") from None
    if (written := (found.metadata() or {}).get("format")) != FORMAT:
        raise DataError(f"{path}: its format is {written!r}, not {FORMAT!r}; update azdistill")
    return found
