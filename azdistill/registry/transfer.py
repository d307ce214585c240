"""Upload the files of a model to the storage of a workspace, and the progress of a transfer in megabytes."""

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from azdistill.azure_rest.blobs import BlobContainer
from azdistill.contracts.progress import Progress

MEGABYTE = 2**20


class TransferProgress:
    """Log the transferred and the remaining megabytes of `files`. Texts do not count. Threads may share it."""

    def __init__(self, label: str, files: Iterable[Path | str]) -> None:
        self._total = sum(_size(file) for file in files)
        self._progress = Progress(label, max(self._total // MEGABYTE, 1))
        self._lock = threading.Lock()

    def reach(self, before: int, sent: int) -> None:
        """Set the transferred bytes: those of the files before this one, and of this one. Fewer than at the last call
        are ignored: reports of threads may be late."""
        with self._lock:
            count = before + sent
            megabytes = self._progress.total if count == self._total else count // MEGABYTE
            if megabytes > self._progress.done:
                self._progress.advance(megabytes - self._progress.done)


def upload(files: Mapping[str, Path | str], container: BlobContainer, folder: str) -> None:
    """Write files and texts to a folder of the container, in their order. Raises AzdistillError.

    `folder` is named after the digest of the files, so a file that is there with its size is complete and is skipped:
    a blob exists once its last block has arrived.
    """
    sizes = container.sizes(folder)
    missing = {path: file for path, file in files.items() if isinstance(file, str) or sizes.get(path) != _size(file)}
    progress, done = TransferProgress("register: MB uploaded", missing.values()), 0
    for path, file in missing.items():
        container.upload(f"{folder}/{path}", file, partial(progress.reach, done))
        done += _size(file)


def _size(file: Path | str) -> int:
    return 0 if isinstance(file, str) else file.stat().st_size
