"""Write to the store: what arrives within one window is written and synced together.

On a local disk a segment grows. On a mounted blob container nothing is durable before the file is closed, also after
fsync, and another node that opens the file earlier sees it empty from then on. So there each window is a segment of its
own, which is written under another name, closed, and renamed. docs/mounts.md lists what a mount does.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import sync
from azdistill.teacher.store.index import StoreIndex
from azdistill.teacher.store.records import StoredAnswer, encode
from azdistill.teacher.store.segments import SUFFIX, WRITING, Create, create, hold, write_all

LOCAL_WINDOW_S = 0.03
MOUNT_WINDOW_S = 3.0

Pending = list[tuple[StoredAnswer, Callable[[], object]]]


class ResponseStore:
    """Append outcomes, and index those of earlier runs. `window_s` is the longest time that one is not durable."""

    def __init__(
        self,
        folder: Path,
        run: str,
        rank: int = 0,
        *,
        window_s: float = LOCAL_WINDOW_S,
        grow: bool = True,
        create: Create = create,
    ) -> None:
        self.folder, self.prefix = folder, f"{re.sub('[^A-Za-z0-9._]', '_', run)}-{rank}"
        if not grow:  # a renamed segment would replace one of an earlier attempt, which has the same run
            self.prefix += f"-{uuid.uuid4().hex[:8]}"
        self.window_s, self.grow, self.create = window_s, grow, create
        self._pending: Pending = []
        self._arrived = asyncio.Event()
        self._segment: IO[bytes] | None = None
        self._number = 0
        self._writer = _one_thread()

    def index(self) -> StoreIndex:
        """Index what the store holds now. Raises AzdistillError when it cannot be read."""
        return StoreIndex(self.folder)

    def check_writable(self) -> None:
        """Raise AzdistillError before anything is bought if answers cannot be stored."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder):  # a mount would keep a file without a name for a while
                pass
        except OSError as error:
            raise self._not_writable(error) from None

    async def write(self, stored: StoredAnswer) -> None:
        """Return once an outcome is durable. It is queued immediately, so cancellation does not lose it."""
        durable = asyncio.get_running_loop().create_future()
        self.put(stored, lambda: None if durable.done() else durable.set_result(None))
        await durable

    def put(self, stored: StoredAnswer, durable: Callable[[], object]) -> None:
        """Queue an outcome for the next commit; `durable` is called on the event loop once it is on disk."""
        self._pending.append((stored, durable))
        self._arrived.set()

    async def commit_forever(self) -> None:
        """Write and sync what arrived, once per window, until cancelled."""
        self._arrived = asyncio.Event()  # of the loop that runs now
        if self._pending:
            self._arrived.set()
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self.window_s)
            self._arrived.clear()
            batch, self._pending = self._pending, []
            await asyncio.shield(asyncio.wrap_future(self._writer.submit(self._write, batch)))
            for _, durable in batch:
                durable()

    def close(self) -> None:
        """Write and sync pending records, so that no answer that arrived is lost."""
        with self._writer as ending:
            ending.submit(self._finish).result()
        self._writer = _one_thread()

    def _finish(self) -> None:
        """Runs after a batch that is being written. A batch that could not be written is written again."""
        batch, self._pending = self._pending, []
        try:
            self._write(batch)
        finally:
            segment, self._segment = self._segment, None
            if segment:
                segment.close()

    def _write(self, batch: Pending) -> None:
        """Write a batch. A record that cannot be encoded is a bug, which is raised when the others are written."""
        lines, errors = _encode(batch)
        if lines:
            try:
                write = self._append if self.grow else self._add
                write(b"".join(lines))
            except OSError as error:
                self._pending[:0] = batch
                raise self._not_writable(error) from None
        if errors:
            raise errors[0]

    def _append(self, lines: bytes) -> None:
        """Append to the segment. After an error a new one is opened: a torn last line would share its line."""
        segment, self._segment = self._segment or self._open(), None
        with contextlib.ExitStack() as ending:
            ending.callback(segment.close)
            write_all(segment, lines)
            os.fsync(segment.fileno())
            ending.pop_all()
            self._segment = segment

    def _add(self, lines: bytes) -> None:
        """Add a complete segment. It is durable once it is renamed; its name is free, as no other process has `prefix`.
        What a killed process leaves keeps its first name, which no reader opens."""
        path = self._next_path()
        writing = path.with_name(path.name + WRITING)
        try:
            with self.create(writing) as segment:
                write_all(segment, lines)
                os.fsync(segment.fileno())
            writing.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                writing.unlink()
            raise
        sync(self.folder)

    def _not_writable(self, error: OSError) -> AzdistillError:
        return AzdistillError(
            f"store {str(self.folder)!r}: cannot be written ({error.strerror})",
            fix="free disk space or use another folder, then run again; stored answers are not paid for again",
        )

    def _open(self) -> IO[bytes]:
        """Create a segment of this process. A name that is taken is skipped, never appended to."""
        while True:
            try:
                segment = self.create(self._next_path())
            except FileExistsError:
                continue
            hold(segment)
            sync(self.folder)
            return segment

    def _next_path(self) -> Path:
        self._number += 1
        return self.folder / f"{self.prefix}-{self._number - 1}{SUFFIX}"


def _encode(batch: Pending) -> tuple[list[bytes], list[Exception]]:
    """Lines of the records, and the errors of those that have none."""
    lines, errors = list[bytes](), list[Exception]()
    for stored, _ in batch:
        try:
            lines.append(encode(stored))
        except Exception as error:
            errors.append(error)
    return lines, errors


def _one_thread() -> ThreadPoolExecutor:
    """One thread writes batches in order. It starts with the first batch."""
    return ThreadPoolExecutor(1, "store")


def open_store(folder: Path, environ: Mapping[str, str] = os.environ) -> ResponseStore:
    """Open the store of this process: in Azure ML on a mount, named after the run; elsewhere on a local disk."""
    run, rank = azure_ml_job(environ), int(environ.get("RANK", "0"))
    if run:
        return ResponseStore(folder, run, rank, window_s=MOUNT_WINDOW_S, grow=False)
    return ResponseStore(folder, f"local{os.getpid()}", rank)
