"""Write text and JSON files to a temporary file that is renamed: a file is complete or absent. Read limited files."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from azdistill.engine.errors import AzdistillError, DataError

# Far more than a file has that azdistill writes.
MAX_JSON_BYTES = 1_000_000_000

_FREE_SPACE = "free disk space, then run again to continue"
_WRITABLE = "name a folder that you may write, or change its permissions"
# Errors of disks, permissions and limits of the system, and what to do. Any other OSError is a bug.
_DISK_ERRORS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), _FREE_SPACE),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _WRITABLE),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files (ulimit -n)"),
    errno.ENAMETOOLONG: "use shorter names",
}

# Errors of file systems that have no fsync, or none of a file that is open for reading, such as a mount.
_NO_FSYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS, errno.EBADF}


def write_text(path: Path, text: str) -> None:
    """Write `text` durably: the file is complete or absent, also after a crash."""
    with new_file(path) as stream:
        stream.write(text.encode())


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which appears under its name, durably, when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not made by tempfile, whose files ignore the user's umask.
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable, where the system has such a call for an open file."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: the same value gives the same bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises DataError where it is missing, cannot be read or is not JSON."""
    try:
        return json.loads(read_limited(path, MAX_JSON_BYTES).decode("utf-8"))
    except FileNotFoundError:
        fix = "did the step that writes it finish?"
        raise DataError("no such file", code="missing_file", fix=fix, file=path) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", code="unreadable_file", file=path) from None
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, not JSON, or a number of too many digits
        raise DataError(f"not JSON ({error})", code="invalid_json", file=path) from None


def disk_error(error: OSError, subject: str = "", path: Path | None = None) -> AzdistillError:
    """An error of the disk, of permissions or of a limit of the system as one sentence. Any other one is raised.

    `path` is shown where the error names none. Of an error of two files, such as a copy, the second one is shown: it is
    written.
    """
    if error.errno not in _DISK_ERRORS:
        raise error
    name = error.filename2 or error.filename or path
    message = f"{error.strerror}{f' at {str(name)!r}' if name else ''}"
    return AzdistillError(message, code="disk_error", subject=subject, fix=_DISK_ERRORS[error.errno])


def read_limited(path: Path, most: int) -> bytes:
    """Content of a file. Raises OSError for one with more than `most` bytes, and for a device or a pipe, whose content
    may never end."""
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content
