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

    def line(self, now: float, note: str = "") -> str:
        """The log line at `now`, a time of `time.monotonic()`."""
        elapsed = max(now - self.started, 1e-9)
        remaining = (self.total - self.done) * elapsed / max(self.done, 1)
        rate = f"{self.done / elapsed:.1f}/s, {remaining:.0f} s left" if self.done < self.total else f"{elapsed:.1f} s"
        return f"{self.label}: {self.done}/{self.total} ({rate}){' ' + note if note else ''}"
