"""What a teacher thought of each token of its answers, beside completions.jsonl. See docs/logprobs.md.

Shards `logprobs-00000.safetensors` of a few thousand answers. Written by hand, as the format is a header of JSON
before the numbers: the paid step needs neither numpy nor safetensors for it, and never holds more than one shard.
"""

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

FORMAT, VERSION = "azdistill-logprobs", 1
SHARDS = "logprobs-*.safetensors"
SHARD_BYTES = 64 * 1024 * 1024
NOBODY = -1
"""The id of the places at a position that has fewer likely tokens than the shard is wide."""

Tensor = tuple[str, tuple[int, ...], bytes | bytearray]
"""Dtype as safetensors calls it, shape, and content, little-endian."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The T tokens of one completion as UTF-8 bytes, which together spell it, the first perhaps with white space in
    front that the completion lacks; of each its natural log probability, -inf where the endpoint told none; and with
    theirs the likeliest tokens at its place, the chosen one among them where it was one."""

    tokens: Sequence[bytes]
    logprobs: Sequence[float]
    tops: Sequence[Sequence[tuple[bytes, float]]]


@dataclass(frozen=True)
class Written:
    """What a folder holds: answers, their tokens, and the bytes of its shards."""

    rows: int
    tokens: int
    bytes: int

    @property
    def bytes_per_token(self) -> float:
        return round(self.bytes / self.tokens, 2) if self.tokens else 0.0


class LogprobsWriter:
    """Writes the shards of a folder, one answer after the other. They get their names together, when the block ends
    without an error, and take the place of all that were there."""

    def __init__(self, folder: Path, top: int, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.top, self.shard_bytes = folder, top, shard_bytes
        self._shard, self._partial = _Shard(top), list[Path]()
        self._rows = self._tokens = 0

    def __enter__(self) -> "LogprobsWriter":
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove(self.folder.glob(f".{SHARDS}"))  # of a writer that was killed
        return self

    def add(self, key: str, positions: Positions) -> None:
        """`key` is that of the store, 64 hex digits."""
        self._shard.add(bytes.fromhex(key), positions)
        self._rows += 1
        self._tokens += len(positions.tokens)
        if self._shard.size >= self.shard_bytes:
            self._close_shard()

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            _remove(self._partial)

    @property
    def written(self) -> Written:
        size = sum(path.stat().st_size for path in self.folder.glob(SHARDS))
        return Written(self._rows, self._tokens, size)

    def _finish(self) -> None:
        if self._shard.rows:
            self._close_shard()
        _remove(self.folder.glob(SHARDS))
        for path in self._partial:
            path.replace(path.with_name(path.name.removeprefix(".")))

    def _close_shard(self) -> None:
        path = self.folder / f".logprobs-{len(self._partial):05}.safetensors"
        self._partial.append(path)
        about = {"format": FORMAT, "version": str(VERSION), "top_logprobs": str(self.top)}
        with path.open("wb") as stream:
            stream.writelines(_file(about, self._shard.tensors()))
            stream.flush()
            os.fsync(stream.fileno())
        self._shard = _Shard(self.top)


class _Shard:
    """Answers on their way into one file. A token is spelled out once; positions know it by its place in the table."""

    def __init__(self, top: int) -> None:
        self.top = top
        self._ids: dict[bytes, int] = {}
        self._chosen, self._logprobs, self._top_ids, self._top_logprobs = (bytearray() for _ in range(4))
        self._row_ends: list[int] = []
        self._keys: list[bytes] = []

    @property
    def rows(self) -> int:
        return len(self._keys)

    @property
    def size(self) -> int:
        return len(self._chosen) + len(self._logprobs) + len(self._top_ids) + len(self._top_logprobs)

    def add(self, key: bytes, positions: Positions) -> None:
        self._keys.append(key)
        self._chosen += _packed("i", [self._id(token) for token in positions.tokens])
        self._logprobs += _packed("e", positions.logprobs)
        places = [place for tops in positions.tops for place in self._places(tops)]
        self._top_ids += _packed("i", [number for number, _ in places])
        self._top_logprobs += _packed("e", [logprob for _, logprob in places])
        self._row_ends.append(len(self._logprobs) // 2)

    def _id(self, token: bytes) -> int:
        return self._ids.setdefault(token, len(self._ids))

    def _places(self, tops: Sequence[tuple[bytes, float]]) -> list[tuple[int, float]]:
        """As many as the shard is wide: the likeliest, or filled up."""
        if len(tops) > self.top:
            tops = sorted(tops, key=lambda top: -top[1])[: self.top]
        found = [(self._id(token), logprob) for token, logprob in tops]
        return found + [(NOBODY, -math.inf)] * (self.top - len(found))

    def tensors(self) -> dict[str, Tensor]:
        """Those of the widest numbers first, so that all are aligned."""
        positions, ends, size = len(self._logprobs) // 2, [], 0
        for token in self._ids:
            ends.append(size := size + len(token))
        return {
            "row_ends": ("I64", (self.rows,), _packed("q", self._row_ends)),
            "token_ends": ("I64", (len(ends),), _packed("q", ends)),
            "ids": ("I32", (positions,), self._chosen),
            "top_ids": ("I32", (positions, self.top), self._top_ids),
            "logprobs": ("F16", (positions,), self._logprobs),
            "top_logprobs": ("F16", (positions, self.top), self._top_logprobs),
            "row_keys": ("U8", (self.rows, 32), b"".join(self._keys)),
            "token_bytes": ("U8", (size,), b"".join(self._ids)),
        }


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _packed(kind: str, values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}{kind}", *values)


def _file(about: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Iterator[bytes | bytearray]:
    """The parts of a safetensors file. Source: https://huggingface.co/docs/safetensors, its format."""
    header: dict[str, object] = {"__metadata__": dict(about)}
    end = 0
    for name, (dtype, shape, content) in tensors.items():
        begin, end = end, end + len(content)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text))
    yield text
    yield from (content for _, _, content in tensors.values())
