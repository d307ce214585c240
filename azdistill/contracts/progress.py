"""Progress of long work as plain lines: how much, how fast, how long still."""

import sys
import time
from typing import TextIO


class Progress:
    """Print `label: done/total (rate/s, ~s left)` at most every `every` seconds, and once at the end."""

    def __init__(self, label: str, total: int, *, every: float = 2.0, stream: TextIO | None = None) -> None:
        self.label, self.total, self.every = label, total, every
        self.stream = stream or sys.stdout
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.printed >= self.every or self.done == self.total:
            self.printed = now
            print(self.line(now, note), file=self.stream, flush=True)

    def line(self, now: float, note: str = "") -> str:
        elapsed = max(now - self.started, 1e-9)
        left = (self.total - self.done) * elapsed / max(self.done, 1)
        pace = f"{self.done / elapsed:.1f}/s, {left:.0f} s left" if self.done < self.total else f"{elapsed:.1f} s"
        return f"{self.label}: {self.done}/{self.total} ({pace}){' ' + note if note else ''}"
