"""One attempt to run a node: its processes' folder, variables, log and time limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.processes import Launch, Processes, Running
from azdistill.engine.local.resolve import ResolvedNode
from azdistill.engine.local.storage import engine_file
from azdistill.engine.local.variables import WORKING_FOLDER, port_variables
from azdistill.engine.pipeline.model import Node

# The snapshot in a node's folder, where its commands run. No output can have this name.
CODE = ".code"
LOG = "log.txt"
# Logs of further ranks, and of the workers of a parallel job.
LOGS_OF_PROCESSES = "log.*.txt"
# The exit code of the program `timeout`.
TIMED_OUT = 124
# Seconds after which a wait for a command without a time limit is repeated.
LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True)
class NodeAttempt:
    """A resolved node in its folder, which is absolute. `variables` are the complete environment of its processes.

    `new_environment` creates a virtual environment for a trial in the folder of the trial, and returns the variables.
    """

    node: Node
    resolved: ResolvedNode
    folder: Path
    processes: Processes
    variables: Mapping[str, str]
    options: RunOptions
    new_environment: Callable[[Path], Mapping[str, str]]

    @property
    def log(self) -> Path:
        """The file that its first process writes to."""
        return self.folder / LOG

    def launch(self, command: str, variables: Mapping[str, str] | None = None, log: Path | None = None) -> Launch:
        """A command of this node. `variables` are added to the node's; `log` replaces the node's log."""
        folder = self.folder / CODE
        ports = port_variables(self.resolved.ports) | {WORKING_FOLDER: str(folder)}
        return Launch(command, folder, engine_file(log or self.log), {**ports, **self.variables, **(variables or {})})

    def note(self, text: str) -> None:
        """Append a message of the engine to the node's log."""
        append_note(self.log, text)


class Deadline:
    """The time limit of a node, `limits.timeout`, in seconds. None means no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._at = None if seconds is None else monotonic() + seconds

    def passed(self) -> bool:
        """True if the time limit is exceeded."""
        return self._at is not None and monotonic() >= self._at

    def within(self, seconds: float) -> float:
        """The smaller of `seconds` and the remaining time."""
        return seconds if self._at is None else max(min(seconds, self._at - monotonic()), 0)


def wait_until(running: Running, deadline: Deadline) -> int | None:
    """The exit code of a command. None when it was ended at the deadline."""
    while (code := running.wait(deadline.within(LONGEST_WAIT_S))) is None:
        if deadline.passed():
            running.end()
            return None
    return code


def append_note(log: Path, text: str) -> None:
    """Append a message of the engine to a log."""
    with engine_file(log).open("a", encoding="utf-8") as stream:
        stream.write(f"azdistill: {text}\n")
