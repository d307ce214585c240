"""The files of a store, and what lies in them. Segments are named `<run>-<rank>-<n>.jsonl` and have one writer each."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store.records import VERSION, key_of, old_key, pieces, version

if sys.platform != "win32":
    import fcntl

SUFFIX = ".jsonl"
SCAN_BYTES = 1024 * 1024

Create = Callable[[Path], IO[bytes]]
"""Makes a segment; raises FileExistsError when the name is taken. An argument, so that a test can be a mount."""


Piece = tuple[int, str | None, bytes]
"""Offset, key and bytes of a record as it lies in a segment; without a key, of bytes that are none."""


def create(path: Path) -> IO[bytes]:
    return path.open("xb", buffering=0)


def write_all(segment: IO[bytes], content: bytes) -> None:
    """Without a buffer, which would try again on close what failed, a write may stop halfway."""
    rest = memoryview(content)
    while rest:
        rest = rest[segment.write(rest) :]


def segments(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Each segment, open, in the order of names; none when there is no such folder.

    One that a compaction took away meanwhile is passed over, as what it held lies in a newer one: the folder is
    listed again until it holds nothing new.
    """
    seen: set[str] = set()
    while fresh := [name for name in _names(folder) if name not in seen]:
        for name in fresh:
            seen.add(name)
            with contextlib.ExitStack() as opened:
                try:
                    segment = opened.enter_context((folder / name).open("rb", SCAN_BYTES))
                except FileNotFoundError:
                    continue
                yield folder / name, segment


def _names(folder: Path) -> list[str]:
    """Not by `glob`, to which a folder that may not be read is an empty one: all would be asked again."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    return []


def scan(segment: IO[bytes]) -> Iterator[Piece]:
    """All that lies in a segment. Raises AzdistillError for a record of a version that this program doesn't know."""
    offset = 0
    for line in segment:
        if key := key_of(line):
            yield offset, key, line
        elif line.endswith(b"\n") or not in_use(segment):  # else it is being written at this moment
            yield from _salvage(segment, offset, line)
        offset += len(line)


def _salvage(segment: IO[bytes], offset: int, line: bytes) -> Iterator[Piece]:
    """What was appended to a torn record, and a record that only its newline was torn off."""
    for piece in pieces(line):
        if version(piece) not in (None, VERSION):
            raise AzdistillError(
                f"segment {segment.name!r}: a record of version {version(piece)} at byte {offset}, and this azdistill "
                f"reads up to {VERSION}; update azdistill, or give another folder"
            )
        yield offset, any_key(piece), piece
        offset += len(piece)


def any_key(piece: bytes) -> str | None:
    return key_of(piece.removesuffix(b"\n") + b"\n") or old_key(piece)


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """What can't be read is an error: taken for an empty store, all would be asked and paid again."""
    try:
        yield
    except OSError as problem:
        where = problem.filename or folder
        raise AzdistillError(
            f"store {str(folder)!r}: can't be read ({problem.strerror} at {str(where)!r}); "
            "mend that or give another folder, then run again"
        ) from None


def hold(file: IO[bytes], *, wait: bool = True) -> bool:
    """Mark a file as one's own until it is closed; False when another process has it or the file system knows no
    locks."""
    return _lock(file, exclusive=True, wait=wait)


def in_use(segment: IO[bytes]) -> bool:
    """Whether a writer may still append. Where that can't be known it may."""
    return not _lock(segment, exclusive=False, wait=False)


def _lock(file: IO[bytes], *, exclusive: bool, wait: bool) -> bool:
    if sys.platform == "win32":
        return False
    how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make new names durable. Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
