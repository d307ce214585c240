"""The response store: every answer that was paid for, on disk before it is counted.

A folder of append-only JSONL segments named `<run>-<rank>-<n>.jsonl`, one writer each. On a local disk a
segment grows, and what arrived within one window is synced together. On a mounted blob container nothing
is durable before the file is closed, so there each window is a segment of its own.
"""

import asyncio
import os
import re
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import orjson
from pydantic import TypeAdapter, ValidationError

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.replies import Answer

LOCAL_WINDOW_S = 0.03
MOUNT_WINDOW_S = 3.0


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One line of a segment. `asked_at` and `teacher` are for people: the key already holds them."""

    key: str
    asked_at: str
    teacher: str
    answer: Answer


_LINE = TypeAdapter(StoredAnswer)


class ResponseStore:
    """Append answers, and find those of earlier runs. `window_s` is the longest time an answer is not durable."""

    def __init__(
        self, folder: Path, run: str, rank: int = 0, *, window_s: float = LOCAL_WINDOW_S, grow: bool = True
    ) -> None:
        self.folder, self.prefix = folder, f"{re.sub('[^A-Za-z0-9._]', '_', run)}-{rank}"
        self.window_s, self.grow = window_s, grow
        self.unreadable = 0
        self._pending: list[tuple[bytes, Callable[[], None]]] = []
        self._arrived = asyncio.Event()
        self._segment: IO[bytes] | None = None
        self._number = 0
        self._one_writer = threading.Lock()

    def find(self, keys: Collection[str]) -> dict[str, Answer]:
        """The stored answers of `keys`. A key that was answered twice keeps its first answer; a torn or foreign
        line is counted in `unreadable` and passed over."""
        wanted, found = frozenset(keys), dict[str, Answer]()
        for line in self._lines():
            try:
                record = _LINE.validate_json(line)
            except ValidationError:
                self.unreadable += 1
                continue
            if record.key in wanted:
                found.setdefault(record.key, record.answer)
        return found

    def _lines(self) -> Iterator[bytes]:
        for path in sorted(self.folder.glob("*.jsonl")):
            with path.open("rb") as segment:
                yield from segment

    def check_writable(self) -> None:
        """Raise AzdistillError before anything is bought when answers could not be kept."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as problem:
            raise self._failed(problem) from None

    def put(self, stored: StoredAnswer, durable: Callable[[], None]) -> None:
        """Queue an answer for the next commit; `durable` is called on the event loop once it is on disk."""
        self._pending.append((orjson.dumps(asdict(stored)) + b"\n", durable))
        self._arrived.set()

    async def commit_forever(self) -> None:
        """Write and sync what arrived, once per window. Runs beside the work, until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self.window_s)
            self._arrived.clear()
            batch, self._pending = self._pending, []
            await asyncio.shield(asyncio.to_thread(self._write, [line for line, _ in batch]))
            for _, durable in batch:
                durable()

    def close(self) -> None:
        """Write and sync what is pending. An answer that arrived before is never lost."""
        batch, self._pending = self._pending, []
        self._write([line for line, _ in batch])
        with self._one_writer:
            if self._segment:
                self._segment.close()
                self._segment = None

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        try:
            with self._one_writer:
                segment = self._segment or self._open()
                segment.write(b"".join(lines))
                segment.flush()
                os.fsync(segment.fileno())
                if self.grow:
                    self._segment = segment
                else:
                    segment.close()
        except OSError as problem:
            self._segment = None  # its last line may be torn: nothing is appended to it any more
            raise self._failed(problem) from None

    def _failed(self, problem: OSError) -> AzdistillError:
        return AzdistillError(
            f"store {str(self.folder)!r}: can't be written ({problem.strerror}); make room or give another folder, "
            "then run again: what is already in it is not asked again"
        )

    def _open(self) -> IO[bytes]:
        """A segment that no other process has: a taken name is passed over, never appended to."""
        while True:
            path = self.folder / f"{self.prefix}-{self._number}.jsonl"
            self._number += 1
            try:
                segment = path.open("xb")
            except FileExistsError:
                continue
            _sync_folder(self.folder)
            return segment


def open_store(folder: Path, environ: Mapping[str, str] = os.environ) -> ResponseStore:
    """The store of this process: in Azure ML on a mount, named after the run; elsewhere on a local disk."""
    run, rank = environ.get("AZUREML_RUN_ID"), int(environ.get("RANK", "0"))
    if run:
        return ResponseStore(folder, run, rank, window_s=MOUNT_WINDOW_S, grow=False)
    return ResponseStore(folder, f"local{os.getpid()}", rank)


def _sync_folder(folder: Path) -> None:
    """Make a new name durable. Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
