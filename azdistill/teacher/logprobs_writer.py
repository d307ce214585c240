"""Write the files of log probabilities, next to completions.jsonl. See docs/logprobs.md.

Shards `logprobs-00000.safetensors` of a few thousand answers each. A writer holds one shard in memory.
"""

import math
import os
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from azdistill.contracts.logprobs import FORMAT, NO_TOKEN, SHARDS

SHARD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """The T tokens of one completion and their log probabilities.

    `tokens`: UTF-8 bytes [T]. Together they spell the completion; the first may start with white space that the
    completion lacks. `logprobs`: natural logarithms [T], -inf where the endpoint returned none. `top_logprobs`: the
    likeliest tokens at each position [T, <= K], among them the chosen one if it is likely enough.
    """

    tokens: Sequence[bytes]
    logprobs: Sequence[float]
    top_logprobs: Sequence[Sequence[tuple[bytes, float]]]


@dataclass(frozen=True)
class WrittenLogprobs:
    """Content of a folder: number of answers, of their tokens, and bytes of the shards."""

    rows: int
    tokens: int
    bytes: int

    @property
    def bytes_per_token(self) -> float:
        return round(self.bytes / self.tokens, 2) if self.tokens else 0.0


class LogprobsWriter:
    """Write the shards of a folder. They replace the existing ones together, when the block ends without an error."""

    def __init__(self, folder: Path, top: int, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.top, self.shard_bytes = folder, top, shard_bytes
        self._shard, self._partial = _ShardWriter(top), list[Path]()
        self._rows = self._tokens = 0

    def __enter__(self) -> "LogprobsWriter":
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove(self.folder.glob(f".{SHARDS}"))  # left by a writer that was killed
        return self

    def add(self, key: str, logprobs: TokenLogprobs) -> None:
        """Add one answer. `key` is its store key, 64 hex digits."""
        self._shard.add(bytes.fromhex(key), logprobs)
        self._rows += 1
        self._tokens += len(logprobs.tokens)
        if self._shard.size >= self.shard_bytes:
            self._close_shard()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            _remove(self._partial)

    @property
    def written(self) -> WrittenLogprobs:
        size = sum(path.stat().st_size for path in self.folder.glob(SHARDS))
        return WrittenLogprobs(self._rows, self._tokens, size)

    def _finish(self) -> None:
        if self._shard.keys:
            self._close_shard()
        _remove(self.folder.glob(SHARDS))
        for path in self._partial:
            path.replace(path.with_name(path.name.removeprefix(".")))

    def _close_shard(self) -> None:
        path = self.folder / f".logprobs-{len(self._partial):05}.safetensors"
        self._partial.append(path)
        save_file(self._shard.tensors(), path, {"format": FORMAT})
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        self._shard = _ShardWriter(self.top)


class _ShardWriter:
    """Answers of one file. Each distinct token is stored once, in a table; positions refer to its index there."""

    def __init__(self, top: int) -> None:
        self.top = top
        self.keys: list[bytes] = []
        self._indices: dict[bytes, int] = {}
        self._row_ends, self._ids, self._top_ids = array("q"), array("i"), array("i")
        self._logprobs, self._top_logprobs = array("f"), array("f")

    @property
    def size(self) -> int:
        """Bytes of the positions: 4 for an id, 2 for a log probability."""
        return 6 * (len(self._ids) + len(self._top_ids))

    def add(self, key: bytes, logprobs: TokenLogprobs) -> None:
        self.keys.append(key)
        self._ids.extend([self._index(token) for token in logprobs.tokens])
        self._logprobs.extend(logprobs.logprobs)
        for top in logprobs.top_logprobs:
            self._add_top(top)
        self._row_ends.append(len(self._ids))

    def _add_top(self, top: Sequence[tuple[bytes, float]]) -> None:
        """Add the likeliest tokens of a position: exactly `self.top`, filled up if there are fewer."""
        if len(top) > self.top:
            top = sorted(top, key=lambda pair: -pair[1])[: self.top]
        missing = self.top - len(top)
        self._top_ids.extend([self._index(token) for token, _ in top] + [NO_TOKEN] * missing)
        self._top_logprobs.extend([logprob for _, logprob in top] + [-math.inf] * missing)

    def _index(self, token: bytes) -> int:
        return self._indices.setdefault(token, len(self._indices))

    def tensors(self) -> dict[str, "np.ndarray[Any, Any]"]:
        rows, positions = len(self.keys), len(self._ids)
        return {
            "row_keys": np.frombuffer(b"".join(self.keys), np.uint8).reshape(rows, 32),
            "row_ends": np.array(self._row_ends, np.int64),
            "ids": np.array(self._ids, np.int32),
            "logprobs": np.array(self._logprobs, np.float16),
            "top_ids": np.array(self._top_ids, np.int32).reshape(positions, self.top),
            "top_logprobs": np.array(self._top_logprobs, np.float16).reshape(positions, self.top),
            "token_bytes": np.frombuffer(b"".join(self._indices), np.uint8),
            "token_ends": np.cumsum([len(token) for token in self._indices], dtype=np.int64),
        }


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
