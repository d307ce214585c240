"""Many segments into few: of each key the record that counts, without what is torn or foreign.

A segment that is still written is left alone. The others go when the new ones are complete and synced, so that
a crash at any moment loses nothing and leaves at most some records twice.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.teacher.store.index import place
from azdistill.teacher.store.records import decode, encode, is_refusal, key_of
from azdistill.teacher.store.segments import SCAN_BYTES, SUFFIX, Piece, hold, in_use, scan, segments, sync_folder

LARGEST_BYTES = 256 * 1024 * 1024
PARTIAL = ".partial"
LOCK = ".compacting"


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: segments before and after it, those in use left alone, records kept and dropped."""

    segments: int
    now: int
    in_use: int
    kept: int
    repeated: int
    unreadable: int
    refusals_forgotten: int


def compact(folder: Path, *, forget_refusals: bool = False, largest_bytes: int = LARGEST_BYTES) -> Compacted:
    """Merge the segments of a store that nobody writes any more; refused questions may be forgotten, to be asked
    again. The same store gives the same bytes.

    Raises InputError when there is no such store, AzdistillError when it can't be read or written, holds records
    of another version, or is being compacted already. Then it holds what it held.
    """
    if not folder.is_dir():
        raise InputError(f"store {str(folder)!r}: no such folder; name the folder of a store")
    with _disk_errors(folder), _alone(folder):
        finished, writing = _sorted_out(folder)
        choice = _Choice(finished, forget_refusals)
        made = _replace(folder, finished, _write(folder, choice.lines(), largest_bytes))
    return Compacted(
        len(finished) + writing,
        made + writing,
        writing,
        choice.kept,
        choice.repeated,
        choice.unreadable,
        choice.forgotten,
    )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = problem.filename or folder
        raise AzdistillError(
            f"store {str(folder)!r}: can't be compacted ({problem.strerror} at {str(where)!r}); nothing of it is "
            "lost; make room or mend that, then run again"
        ) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One compaction at a time, without what one that was killed has left behind."""
    with (folder / LOCK).open("wb") as lock:
        if not hold(lock, wait=False):
            raise AzdistillError(
                f"store {str(folder)!r}: another compaction is under way, or the file system knows no locks; "
                "wait for its end, or compact a copy"
            )
        try:
            _remove(folder.glob(f"*{PARTIAL}"))
            yield
        finally:
            _remove(folder.glob(f"*{PARTIAL}"))


def _sorted_out(folder: Path) -> tuple[list[Path], int]:
    """Segments that are complete, and the number of those in use. An empty one was made a moment ago and its
    writer may not have marked it yet."""
    found = [(path, in_use(segment) or os.fstat(segment.fileno()).st_size == 0) for path, segment in segments(folder)]
    return [path for path, writing in found if not writing], sum(writing for _, writing in found)


class _Choice:
    """The records to keep, and counts of the others."""

    def __init__(self, paths: Sequence[Path], forget_refusals: bool) -> None:
        self._paths, self._forget = paths, forget_refusals
        self.unreadable = self.repeated = self.forgotten = 0
        self._places: dict[str, int] = {}
        for number, piece in self._pieces():
            self._consider(number, piece)

    @property
    def kept(self) -> int:
        return len(self._places)

    def lines(self) -> Iterator[bytes]:
        """In the order in which they lie there."""
        for number, (offset, key, content) in self._pieces():
            if key and self._places.get(key) == place(number, offset, content):
                yield _line(content)

    def _pieces(self) -> Iterator[tuple[int, Piece]]:
        for number, path in enumerate(self._paths):
            with path.open("rb", SCAN_BYTES) as segment:
                yield from ((number, piece) for piece in scan(segment))

    def _consider(self, number: int, piece: Piece) -> None:
        offset, key, content = piece
        if key is None:
            self.unreadable += 1
        elif self._forget and is_refusal(content):
            self.forgotten += 1
        else:
            self.repeated += key in self._places
            where = place(number, offset, content)
            self._places[key] = min(self._places.get(key, where), where)


def _line(content: bytes) -> bytes:
    """A record of the first version gets its checksum now."""
    line = content.removesuffix(b"\n") + b"\n"
    return line if key_of(line) else encode(decode(content))


def _replace(folder: Path, old: Sequence[Path], new: Iterable[tuple[Path, Path]]) -> int:
    """New segments for old ones; returns their number. None gets its name before all are complete."""
    made = list(new)
    for partial, path in made:
        partial.replace(path)
    sync_folder(folder)
    _remove(set(old) - {path for _, path in made})
    sync_folder(folder)
    return len(made)


def _write(folder: Path, lines: Iterator[bytes], largest: int) -> Iterator[tuple[Path, Path]]:
    """Complete segments under names that no reader looks at, with the names they are to have: of their content, so
    that a name never stands for something else."""
    for number in count():
        partial = folder / f"{number}{PARTIAL}"
        digest = _fill(partial, lines, largest)
        if digest is None:
            return
        yield partial, folder / f"compact-{number:05}-{digest}{SUFFIX}"


def _fill(path: Path, lines: Iterator[bytes], largest: int) -> str | None:
    """Write one segment's worth of `lines`; returns the hash of its content, None when there were none left."""
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
