"""Index of a store: the position of the record of each key, in about a hundred bytes per key."""

from functools import lru_cache
from pathlib import Path
from typing import IO

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store.records import TIME_BITS, StoredAnswer, decode, key_of, precedence, split_records
from azdistill.teacher.store.segments import any_key, reading, scan, segments

OFFSET_BITS, NUMBER_BITS = 40, 24
OFFSETS, NUMBERS = (1 << OFFSET_BITS) - 1, (1 << NUMBER_BITS) - 1
NOWHERE = 1 << (1 + TIME_BITS + NUMBER_BITS + OFFSET_BITS)
OPEN_SEGMENTS = 32


def position(number: int, offset: int, record: bytes) -> int:
    """Precedence, segment and offset of a record in one integer: a tuple would take four times the memory."""
    return (precedence(record) << NUMBER_BITS | number) << OFFSET_BITS | offset


class StoreIndex:
    """The records of a store at the time it is read.

    A record is read from disk when it is needed, also after a compaction has moved it. Of several records with one key
    an answer counts before a rejection, then the earliest. `unreadable` counts torn and foreign lines.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened = lru_cache(OPEN_SEGMENTS)(_OpenSegment)
        self._scan()

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, key: str) -> bool:
        return hash(key) in self._positions

    def get(self, key: str, *, logprobs: bool = True) -> StoredAnswer | None:
        """The record of a key, with its log probabilities where they are wanted."""
        if key not in self:
            return None
        with reading(self.folder):
            return decode(self._read(key) or self._read_moved(key), logprobs=logprobs)

    def _scan(self) -> None:
        self._segments: list[Path] = []
        self._positions: dict[int, int] = {}  # by hash of the key, which takes a third of the memory
        self.unreadable = 0
        positions = self._positions
        with reading(self.folder):
            for number, (path, segment) in enumerate(segments(self.folder)):
                self._segments.append(path)
                for offset, key, record in scan(segment):
                    if key is None:
                        self.unreadable += 1
                        continue
                    hashed = hash(key)
                    positions[hashed] = min(positions.get(hashed, NOWHERE), position(number, offset, record))

    def _read(self, key: str) -> bytes | None:
        """None when another process has moved the record."""
        where = self._positions[hash(key)]
        try:
            record = self._opened(self._segments[where >> OFFSET_BITS & NUMBERS]).record(where & OFFSETS)
        except FileNotFoundError:
            return None
        return record if any_key(record) == key else None

    def _read_moved(self, key: str) -> bytes:
        self._opened.cache_clear()
        self._scan()
        if key in self and (record := self._read(key)):
            return record
        raise AzdistillError(
            f"store {str(self.folder)!r}: the record of key {key!r} disappeared after it was indexed",
            fix="leave the folder alone while a run reads it, then run again",
        )


class _OpenSegment:
    """A segment that stays open for the next record."""

    def __init__(self, path: Path) -> None:
        self._segment: IO[bytes] = path.open("rb")

    def __del__(self) -> None:
        if hasattr(self, "_segment"):
            self._segment.close()

    def record(self, offset: int) -> bytes:
        self._segment.seek(offset)
        line = self._segment.readline()
        return line if key_of(line) else next(split_records(line), b"")
