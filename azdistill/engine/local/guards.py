"""Lock a run folder, end a run cleanly on signals, and report disk errors."""

import math
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from azdistill.engine.errors import InputError
from azdistill.engine.files import disk_error
from azdistill.engine.local.storage import engine_file
from azdistill.engine.local.supervisor import ENDING


def check_system() -> None:
    """Raises InputError on Windows: commands of nodes are written for bash on Linux."""
    if os.name != "posix":
        raise InputError("pipelines need bash and process groups", subject=f"os.name={os.name!r}", fix="use WSL")


def create_folder(folder: Path, subject: str) -> None:
    """Create a folder and those above it. Raises InputError where a file is in its place, and for a file system
    without new folders, such as /proc."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError("it, or a folder above it, is a file", subject=subject, fix="name another folder") from None
    except FileNotFoundError:
        raise InputError("it cannot be created there", subject=subject, fix="name another folder") from None


# Seconds that a run waits for the lock of its folder: a command that shows the run holds it for a moment.
LOCK_WAIT_S = 0.5


@contextmanager
def locked(folder: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Create and lock a run folder. Raises InputError when another run holds it for `wait_s` seconds or it is not a
    folder."""
    subject = f"run folder {str(folder)!r}"
    create_folder(folder, subject)
    lock = FileLock(engine_file(folder / ".lock"))
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        fix = "wait for it, or name another folder"
        raise InputError("it is in use by another run", subject=subject, fix=fix) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into an event, because an exception could interrupt the writing of a record.

    A second signal raises KeyboardInterrupt. Outside the main thread, which alone receives signals, the event is never
    set. A signal that the parent ignores, as a shell does for a job in the background, stays ignored.
    """
    event = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    handled = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def disk_errors(folder: Path, home: Path) -> Iterator[None]:
    """Raise AzdistillError for a full or read-only disk instead of OSError. Where the error names no file, the one of
    both folders with less free space is named."""
    try:
        yield
    except OSError as error:
        path = min((folder, home), key=lambda path: shutil.disk_usage(path).free if path.exists() else math.inf)
        raise disk_error(error, _folder_of(error, folder, home), path) from None


def _folder_of(error: OSError, folder: Path, home: Path) -> str:
    """The run folder, or AZDISTILL_HOME for an error there, which another run folder does not avoid."""
    path = Path(error.filename or folder).absolute()
    if path.is_relative_to(home.absolute()) and not path.is_relative_to(folder.absolute()):
        return f"AZDISTILL_HOME {str(home)!r}"
    return f"run folder {str(folder)!r}"
