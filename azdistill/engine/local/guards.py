"""One run at a time in a folder, and an end that leaves it whole."""

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from azdistill.engine.errors import AzdistillError, InputError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def check_system() -> None:
    """Raises InputError where commands can't run as on Azure ML, whose nodes are Linux."""
    if os.name != "posix":
        raise InputError(f"os.name={os.name!r}: pipelines run here with bash and process groups; on Windows use WSL")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, which is made. Raises InputError when another run holds it or it is no folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"run folder {str(folder)!r} is a file, or lies in one; name another folder") from None
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"run folder {str(folder)!r} is in use by another run; wait for it, or name another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM as a flag: an exception could come while a record is written. The second raises
    KeyboardInterrupt. Outside the main thread, where no signals arrive, the flag stays down; a signal that
    the parent had ignored, as a shell does for a job in the background, stays ignored."""
    flag = threading.Event()

    def raise_flag(number: int, frame: FrameType | None) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, raise_flag) for number in heard}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """A full or read-only disk in a sentence; raises AzdistillError."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _NOT_OURS:
            raise
        where = problem.filename or folder
        raise AzdistillError(
            f"run folder {str(folder)!r}: {problem.strerror} at {str(where)!r}; make room or name another folder, "
            "then run again to continue"
        ) from None
