"""Stores to test with: what is put, and a mount that shows files on close only."""

import asyncio
import io
import os
from collections.abc import Iterable
from pathlib import Path

from azdistill.teacher.replies import Answer, Refusal
from azdistill.teacher.store import Found, ResponseStore, StoredAnswer


def stored(key: str, text: str = "yes", when: int = 1_764_000_000_000) -> StoredAnswer:
    return StoredAnswer(key, "https://host", "m", Answer(text, "stop", 3, 1), 0.25, when)


def refused(key: str, when: int = 1_764_000_000_000) -> StoredAnswer:
    return StoredAnswer(key, "https://host", "m", Refusal("content_filter", "HTTP 400: no"), 0.1, when)


def fill(store: ResponseStore, *outcomes: StoredAnswer, close: bool = True) -> None:
    """Put, and wait until all is durable."""

    async def put_all() -> None:
        committing = asyncio.create_task(store.commit_forever())
        durable = [asyncio.Event() for _ in outcomes]
        for outcome, event in zip(outcomes, durable, strict=True):
            store.put(outcome, event.set)
        await asyncio.gather(*(event.wait() for event in durable))
        committing.cancel()

    asyncio.run(put_all())
    if close:
        store.close()


def filled(folder: Path, run: str, *outcomes: StoredAnswer) -> Path:
    """The segment of a run that is over."""
    fill(ResponseStore(folder, run), *outcomes)
    return folder / f"{run}-0-0.jsonl"


def find(folder: Path, keys: Iterable[str]) -> Found:
    return ResponseStore(folder, "later").find(keys)


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.jsonl"))


class _Upload(io.FileIO):
    """A file that has its name once it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"{path}.uploading", "x")

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.link(f"{self.path}.uploading", self.path)
            os.unlink(f"{self.path}.uploading")


def mounted(path: Path) -> io.FileIO:
    """Makes a segment as a mounted blob container does: nobody sees it before it is closed, nothing is appended
    to one that is there."""
    if path.exists():
        raise FileExistsError(path)
    return _Upload(path)
