"""End a download from Azure ML that is too large or takes too long."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType

from azdistill.contracts.errors import AzdistillError
from azdistill.engine.local import downloads

# Seconds between two checks.
INTERVAL_S = 5.0


@contextmanager
def limited_download(folder: Path) -> Iterator[None]:
    """Raise AzdistillError in the block when a download to `folder` is larger, or takes longer, than the limits.

    The block runs without limits outside the main thread, which alone receives signals, and on Windows.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    started, size = monotonic(), _size(folder)

    def check(number: int, frame: FrameType | None) -> None:
        if monotonic() - started > downloads.MAX_SECONDS:
            raise _error(f"it takes longer than {downloads.MAX_SECONDS / 3600:g} hours", folder)
        if _size(folder) - size > downloads.MAX_BYTES:
            raise _error(f"it has more than {downloads.MAX_BYTES / 1e9:g} GB", folder)

    before = signal.signal(signal.SIGALRM, check)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL_S, INTERVAL_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _error(message: str, folder: Path) -> AzdistillError:
    fix = "download it with the Azure CLI or Storage Explorer"
    return AzdistillError(message, code="download_failed", subject=f"download to {str(folder)!r}", fix=fix)
