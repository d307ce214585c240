"""Helpers for tests of the store: fill and read stores, and simulate a mount that shows files empty until closed."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from azdistill.teacher.replies import Answer, Outcome, RowRejected
from azdistill.teacher.store import ResponseStore, StoredAnswer, StoreIndex


class Outcomes(Mapping[str, Outcome]):
    """Outcomes of some keys in an index, in the order of the keys. Each is read when it is needed."""

    def __init__(self, index: StoreIndex, keys: Iterable[str]) -> None:
        self.index, self.unreadable = index, index.unreadable
        self.keys_in_store = [key for key in dict.fromkeys(keys) if key in index]

    def stored(self, key: str) -> StoredAnswer:
        record = self.index.get(key)
        if record is None:
            raise KeyError(key)
        return record

    def __getitem__(self, key: str) -> Outcome:
        return self.stored(key).outcome

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_in_store)

    def __len__(self) -> int:
        return len(self.keys_in_store)


def stored(key: str, text: str = "yes", when: int = 1_764_000_000_000) -> StoredAnswer:
    return StoredAnswer(key, "https://host", "m", Answer(text, "stop", 3, 1), 0.25, when)


def refused(key: str, when: int = 1_764_000_000_000) -> StoredAnswer:
    return StoredAnswer(key, "https://host", "m", RowRejected("content_filter", "HTTP 400: no"), 0.1, when)


def fill(store: ResponseStore, *outcomes: StoredAnswer, close: bool = True) -> None:
    """Put records, and wait until all are durable."""

    async def put_all() -> None:
        durable = [asyncio.Event() for _ in outcomes]
        async with asyncio.TaskGroup() as tasks:
            committing = tasks.create_task(store.commit_forever())
            for outcome, event in zip(outcomes, durable, strict=True):
                store.put(outcome, event.set)
            for event in durable:
                await event.wait()
            committing.cancel()

    store.check_writable()
    asyncio.run(put_all())
    if close:
        store.close()


def filled(folder: Path, run: str, *outcomes: StoredAnswer) -> Path:
    """Write the segment of a finished run; returns its path."""
    fill(ResponseStore(folder, run), *outcomes)
    return folder / f"{run}-0-0.jsonl"


def find(folder: Path, keys: Iterable[str]) -> Outcomes:
    return Outcomes(ResponseStore(folder, "later").index(), keys)


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl"))


def run_python(program: str, *arguments: str | Path) -> str:
    """Run a Python program in a new process; returns its stdout."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class _Upload(io.FileIO):
    """File that is empty for all others until it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch(exist_ok=False)
        super().__init__(f"{path}.uploading", "x")

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.replace(f"{self.path}.uploading", self.path)


def mounted(path: Path) -> io.FileIO:
    """Create a segment as on a mounted blob container: empty until it is closed."""
    return _Upload(path)
