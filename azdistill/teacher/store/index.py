"""What a store holds of the keys that a run wants: a million of them in a few hundred bytes each."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.store.records import TIME_BITS, StoredAnswer, decode, key_of, pieces, rank
from azdistill.teacher.store.segments import any_key, reading, scan, segments

OFFSET_BITS, NUMBER_BITS = 40, 24
OFFSETS, NUMBERS = (1 << OFFSET_BITS) - 1, (1 << NUMBER_BITS) - 1
NOWHERE = 1 << (1 + TIME_BITS + NUMBER_BITS + OFFSET_BITS)
OPEN_SEGMENTS = 32


def place(number: int, offset: int, content: bytes) -> int:
    """Where a record lies, behind its rank, in one number: a tuple would take four times the memory."""
    return (rank(content) << NUMBER_BITS | number) << OFFSET_BITS | offset


class StoreIndex(Mapping[str, Answer | RowRejected]):
    """Stored outcomes by key, in the order of the keys. Only where they lie is held; each is read when it is
    asked for, also after a compaction has moved it."""

    def __init__(self, folder: Path, keys: Iterable[str]) -> None:
        self.folder = folder
        self.unreadable = 0
        self._places = dict.fromkeys(keys, NOWHERE)
        self._opened = lru_cache(OPEN_SEGMENTS)(_opened)
        self._look()

    def stored(self, key: str, *, logprobs: bool = True) -> StoredAnswer:
        """The record, with teacher, time and latency. Raises KeyError for a key that is not there."""
        with reading(self.folder):
            return decode(self._read(key) or self._look_again(key), logprobs=logprobs)

    def __getitem__(self, key: str) -> Answer | RowRejected:
        return self.stored(key).outcome

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def _look(self) -> None:
        self._segments: list[Path] = []
        places, self.unreadable = self._places, 0
        with reading(self.folder):
            for number, (path, segment) in enumerate(segments(self.folder)):
                self._segments.append(path)
                for offset, key, content in scan(segment):
                    if key in places:
                        places[key] = min(places[key], place(number, offset, content))
                    elif key is None:
                        self.unreadable += 1
        for key in [key for key, where in places.items() if where == NOWHERE]:
            del places[key]

    def _look_again(self, key: str) -> bytes:
        self._places = dict.fromkeys(self._places, NOWHERE)
        self._opened.cache_clear()
        self._look()
        if key in self._places and (piece := self._read(key)):
            return piece
        raise AzdistillError(
            f"store {str(self.folder)!r}: the record of key {key!r} was there a moment ago and is gone; "
            "leave the folder alone while a run reads it, then run again"
        )

    def _read(self, key: str) -> bytes | None:
        """None when another process has moved it."""
        where = self._places[key]
        try:
            piece = self._opened(self._segments[where >> OFFSET_BITS & NUMBERS]).record(where & OFFSETS)
        except FileNotFoundError:
            return None
        return piece if any_key(piece) == key else None


class _Opened:
    """A segment that stays open for the next record."""

    def __init__(self, segment: IO[bytes]) -> None:
        self._segment = segment

    def __del__(self) -> None:
        self._segment.close()

    def record(self, offset: int) -> bytes:
        self._segment.seek(offset)
        line = self._segment.readline()
        return line if key_of(line) else next(pieces(line), b"")


def _opened(path: Path) -> _Opened:
    return _Opened(path.open("rb"))
