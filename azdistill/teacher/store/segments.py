"""The files of a store. Segments are named `<run>-<rank>-<n>.jsonl` and have one writer each."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.store.records import VERSION, key_of, split_records, version

if sys.platform != "win32":
    import fcntl

SUFFIX = ".jsonl"
# Added to the name of a segment that is written on a mount, until it is complete. No reader opens such a name.
WRITING = ".writing"
SCAN_BYTES = 1024 * 1024

# Makes a segment; raises FileExistsError when the name is taken. An argument, so that a test can simulate a mount.
Create = Callable[[Path], IO[bytes]]
# Offset, key and bytes of a record in a segment. The key is None for bytes that are no record.
Piece = tuple[int, str | None, bytes]


def create(path: Path) -> IO[bytes]:
    return path.open("xb", buffering=0)


def write_all(segment: IO[bytes], content: bytes) -> None:
    """Write all bytes. A file without a buffer may write fewer; a buffer would repeat a failed write on close."""
    rest = memoryview(content)
    while rest:
        rest = rest[segment.write(rest) :]


def segments(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Each segment, open, in the order of names; none when there is no such folder.

    A segment that a compaction removed meanwhile is skipped, as its records are in a newer one: the folder is listed
    again until it holds nothing new.
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
    """Names of segments. `glob` would take a folder without read permission for an empty one."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    return []


def scan(segment: IO[bytes]) -> Iterator[Piece]:
    """All records and unreadable bytes of a segment.

    Raises AzdistillError for a record of an unknown version. A segment has one writer, so behind a record of this
    version another number is a damage.
    """
    offset, is_readable = 0, False
    for line in segment:
        if key := key_of(line):
            is_readable = True
            yield offset, key, line
        elif line.endswith(b"\n") or not in_use(segment):  # else it is being written
            yield from _salvage(segment, offset, line, is_readable)
        offset += len(line)


def _salvage(segment: IO[bytes], offset: int, line: bytes, is_readable: bool) -> Iterator[Piece]:
    """A record that was appended to a torn one, and a record that lacks only its newline."""
    for record in split_records(line):
        if not is_readable and version(record) not in (None, VERSION):
            raise AzdistillError(
                f"segment {segment.name!r}: the record at byte {offset} has version {version(record)}; this azdistill "
                f"reads version {VERSION}",
                fix="update azdistill, or use another folder",
            )
        yield offset, any_key(record), record
        offset += len(record)


def any_key(record: bytes) -> str | None:
    """The key of a record with or without its newline."""
    return key_of(record.removesuffix(b"\n") + b"\n")


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raise AzdistillError for files that cannot be read: if they were ignored, all answers would be bought again."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise AzdistillError(
            f"store {str(folder)!r}: cannot be read ({error.strerror}: {str(path)!r})",
            fix="fix that or use another folder, then run again",
        ) from None


def hold(file: IO[bytes], *, wait: bool = True) -> bool:
    """Lock a file until it is closed; False when another process holds it or the file system has no locks."""
    return _lock(file, exclusive=True, wait=wait)


def in_use(segment: IO[bytes]) -> bool:
    """True if a writer may still append; True where that is unknown."""
    return not _lock(segment, exclusive=False, wait=False)


def _lock(file: IO[bytes], *, exclusive: bool, wait: bool) -> bool:
    if sys.platform == "win32":
        return False
    flags = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(file, flags)
    except OSError:
        return False
    return True
