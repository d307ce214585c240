"""One try of a node: what it runs, where, and with what."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.processes import Launch, Processes, Running
from azdistill.engine.local.resolve import Resolved
from azdistill.engine.pipeline.model import Node

CODE = ".code"
"""The snapshot in a node's folder, where its commands run. No output can have this name."""

LOG = "log.txt"

TIMED_OUT = 124
"""What the program `timeout` exits with, too."""


@dataclass(frozen=True)
class Task:
    """A node with its ports resolved, in its `folder`, which is absolute, as its processes run elsewhere. `variables`
    are all of their environment, and `jobs` is how many of them may run side by side where the node leaves it open.
    `faults` are what goes wrong on purpose."""

    node: Node
    resolved: Resolved
    folder: Path
    processes: Processes
    variables: Mapping[str, str]
    options: RunOptions

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def launch(self, command: str, variables: Mapping[str, str] | None = None, log: Path | None = None) -> Launch:
        """A command of this node, with `variables` beside its own and its output in `log` where that is given."""
        return Launch(command, self.folder / CODE, log or self.log, {**self.variables, **(variables or {})})

    def note(self, text: str) -> None:
        """A line of the engine's own in the node's log."""
        note(self.log, text)


class Deadline:
    """The time that a node has: `limits.timeout`, in seconds; None is forever."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._at = None if seconds is None else monotonic() + seconds

    def passed(self) -> bool:
        return self._at is not None and monotonic() >= self._at

    def within(self, seconds: float) -> float:
        """`seconds`, or less where the deadline comes before."""
        return seconds if self._at is None else max(min(seconds, self._at - monotonic()), 0)


def finish(running: Running, deadline: Deadline, tick: float = 3600) -> int | None:
    """The exit code of a command; None when it was ended at the deadline."""
    while (code := running.wait(deadline.within(tick))) is None:
        if deadline.passed():
            running.end()
            return None
    return code


def note(log: Path, text: str) -> None:
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"azdistill: {text}\n")
