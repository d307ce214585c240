"""Merge many segments into few: of each key the record that counts, without torn and foreign lines.

A segment that is still written is not touched. The others are removed once the new ones are complete and synced. So a
crash at any moment loses nothing and leaves at most some records twice.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import sync
from azdistill.teacher.store.index import position
from azdistill.teacher.store.records import is_rejection
from azdistill.teacher.store.segments import SCAN_BYTES, SUFFIX, Piece, hold, in_use, scan, segments

LARGEST_BYTES = 256 * 1024 * 1024
PARTIAL = ".partial"
LOCK = ".compacting"


@dataclass(frozen=True)
class Compacted:
    """Counts of a compaction: segments before and after (`now`) and in use, records kept and dropped."""

    segments: int
    now: int
    in_use: int
    kept: int
    repeated: int
    unreadable: int
    refusals_forgotten: int


def compact(folder: Path, *, forget_refusals: bool = False, largest_bytes: int = LARGEST_BYTES) -> Compacted:
    """Merge the segments of a store that no process writes any more. `forget_refusals` drops rejections, so that the
    next run asks again. The same store gives the same bytes.

    Raises InputError when there is no such store, and AzdistillError when it cannot be read or written, holds records
    of another version, or is being compacted already. Then its content has not changed.
    """
    if not folder.is_dir():
        raise InputError(f"store {str(folder)!r}: no such folder", fix="name the folder of a store")
    with _disk_errors(folder), _exclusively(folder):
        finished, writing = _finished_segments(folder)
        records = _KeptRecords(finished, forget_refusals)
        made = _replace(folder, finished, _write(folder, records.lines(), largest_bytes))
    return Compacted(
        len(finished) + writing,
        made + writing,
        writing,
        records.kept,
        records.repeated,
        records.unreadable,
        records.forgotten,
    )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise AzdistillError(
            f"store {str(folder)!r}: cannot be compacted ({error.strerror}: {str(path)!r}); nothing is lost",
            fix="free disk space or fix that, then run again",
        ) from None


@contextmanager
def _exclusively(folder: Path) -> Iterator[None]:
    """Run one compaction at a time. Remove the partial segments of one that was killed."""
    with (folder / LOCK).open("wb") as lock:
        if not hold(lock, wait=False):
            raise AzdistillError(
                f"store {str(folder)!r}: another compaction is running, or the file system has no locks",
                fix="wait for its end, or compact a copy",
            )
        try:
            _remove(folder.glob(f"*{PARTIAL}"))
            yield
        finally:
            _remove(folder.glob(f"*{PARTIAL}"))


def _finished_segments(folder: Path) -> tuple[list[Path], int]:
    """Segments that are complete, and the number of those in use. The writer of an empty one may not have locked it
    yet."""
    paths = [(path, in_use(segment) or os.fstat(segment.fileno()).st_size == 0) for path, segment in segments(folder)]
    return [path for path, writing in paths if not writing], sum(writing for _, writing in paths)


class _KeptRecords:
    """The records to keep, and counts of the others."""

    def __init__(self, paths: Sequence[Path], forget_refusals: bool) -> None:
        self._paths, self._forget = paths, forget_refusals
        self.unreadable = self.repeated = self.forgotten = 0
        self._positions: dict[str, int] = {}
        for number, piece in self._pieces():
            self._consider(number, piece)

    @property
    def kept(self) -> int:
        return len(self._positions)

    def lines(self) -> Iterator[bytes]:
        """The records to keep, in the order of the segments."""
        for number, (offset, key, record) in self._pieces():
            if key and self._positions.get(key) == position(number, offset, record):
                yield record.removesuffix(b"\n") + b"\n"

    def _pieces(self) -> Iterator[tuple[int, Piece]]:
        for number, path in enumerate(self._paths):
            with path.open("rb", SCAN_BYTES) as segment:
                yield from ((number, piece) for piece in scan(segment))

    def _consider(self, number: int, piece: Piece) -> None:
        offset, key, record = piece
        if key is None:
            self.unreadable += 1
        elif self._forget and is_rejection(record):
            self.forgotten += 1
        else:
            self.repeated += key in self._positions
            where = position(number, offset, record)
            self._positions[key] = min(self._positions.get(key, where), where)


def _replace(folder: Path, old: Sequence[Path], new: Iterable[tuple[Path, Path]]) -> int:
    """Replace old segments by new ones; returns the number of new ones. All are complete before one gets its name."""
    made = list(new)
    for partial, path in made:
        partial.replace(path)
    sync(folder)
    _remove(set(old) - {path for _, path in made})
    sync(folder)
    return len(made)


def _write(folder: Path, lines: Iterator[bytes], largest: int) -> Iterator[tuple[Path, Path]]:
    """Write complete segments under names that no reader opens; yields these and the final names, which contain a
    hash of the content, so that a name never gets another content."""
    for number in count():
        partial = folder / f"{number}{PARTIAL}"
        digest = _fill(partial, lines, largest)
        if digest is None:
            return
        yield partial, folder / f"compact-{number:05}-{digest}{SUFFIX}"


def _fill(path: Path, lines: Iterator[bytes], largest: int) -> str | None:
    """Write lines up to the size of one segment; returns the hash of its content, None when no line was left."""
    size, digest = 0, hashlib.sha256()
    with path.open("wb") as segment:
        while size < largest and (line := next(lines, None)):
            segment.write(line)
            digest.update(line)
            size += len(line)
        segment.flush()
        os.fsync(segment.fileno())
    return digest.hexdigest()[:16] if size else None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
