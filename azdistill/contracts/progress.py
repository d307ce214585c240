"""Progress of long work as log lines: finished items, rate and remaining time."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("azdistill.progress")


class Progress:
    """Log `label: done/total (rate/s, ~s left)` at most every `every` seconds, and once at the end."""

    def __init__(self, label: str, total: int, *, every: float = 2.0) -> None:
        self.label, self.total, self.every = label, total, every
        self.done = 0
        self.started = self.logged = time.monotonic()

    def advance(self, count: int = 1, note: Callable[[], str] = str) -> None:
        """Count finished items; the text of `note` is appended to the line. It is called only for a line."""
        self.done += count
        now = time.monotonic()
        if now - self.logged >= self.every or self.done == self.total:
            self.logged = now
            logger.info(self.line(now, note()))

    def tick(self, unfinished: Callable[[], float]) -> None:
        """Log a line if one is due, although no item is finished. `unfinished` returns the number of items that the
        work on unfinished ones is equal to: 1.5 for three that are half finished. It is called only for a line."""
        now = time.monotonic()
        if now - self.logged >= self.every:
            self.logged = now
            logger.info(self.line(now, unfinished=unfinished()))

    def line(self, now: float, note: str = "", unfinished: float = 0.0) -> str:
        """The log line at `now`, a time of `time.monotonic()`."""
        elapsed = max(now - self.started, 1e-9)
        done = self.done + unfinished
        remaining = f", {(self.total - done) * elapsed / done:.0f} s left" if done else ""
        rate = f"{done / elapsed:.1f}/s{remaining}" if self.done < self.total else f"{elapsed:.1f} s"
        return f"{self.label}: {self.done}/{self.total} ({rate}){' ' + note if note else ''}"
