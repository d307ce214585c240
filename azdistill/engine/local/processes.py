"""Processes of nodes, which end at the latest when the engine does."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

# Seconds between SIGTERM and SIGKILL.
GRACE_S = 10.0

# The leader of a process group reads a pipe that the engine holds open. The pipe closes with the command, or when the
# engine ends in any way; then the leader kills the remaining processes of its group.
_GROUP_LEADER = ("sh", "-c", "trap '' TERM INT HUP; read _; kill -KILL 0")

# On SIGTERM, the shell waits for its current program, which may be saving, before it exits. Without this line only the
# shell would end.
_WAIT_FOR_CHILD = "trap 'exit 143' TERM\n"


class Stopped(Exception):
    """The run, or this attempt of a node, is ending: running processes were sent SIGTERM and no new one starts."""


@dataclass(frozen=True)
class Launch:
    """A shell command to start: its folder, the file for its output, its complete environment, and the file descriptors
    that it inherits."""

    command: str
    folder: Path
    log: Path
    variables: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


class Running:
    """A started command, in a process group with everything that it starts."""

    def __init__(self, process: "subprocess.Popen[bytes]", group: int, grace: float) -> None:
        self._process, self._group, self._grace = process, group, grace

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None while it still runs after `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> int:
        """Send SIGTERM, after the grace time SIGKILL, and return the exit code."""
        self.signal(signal.SIGTERM)
        if self.wait(self._grace) is None:
            self.signal(signal.SIGKILL)
        return self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process group, if it still exists."""
        with suppress(ProcessLookupError):
            os.killpg(self._group, number)


class Processes:
    """The running processes of a run, or of one attempt of a node (`parent` then is the run)."""

    def __init__(self, grace: float = GRACE_S, parent: "Processes | None" = None) -> None:
        self.grace, self._parent = grace, parent
        self._alive: set[Running] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def branch(self) -> "Processes":
        """A subset that can be stopped without the others."""
        return Processes(self.grace, self)

    @contextmanager
    def start(self, launch: Launch) -> Iterator[Running]:
        """Start a command. At the end of the block, its remaining processes are killed.

        Raises Stopped, also at the end of the block, when the run is ending, and OSError when the command cannot start.
        """
        self.check()
        with launch.log.open("ab") as stream, _process_group() as group:
            running = self._add(lambda: Running(_start(launch, stream.fileno(), group), group, self.grace))
            try:
                yield running
            finally:
                self._remove(running)
                running.signal(signal.SIGKILL)
                running.wait()
        self.check()

    def check(self) -> None:
        """Raises Stopped when these processes, or those of the parent, are being stopped."""
        if self._stopping.is_set():
            raise Stopped
        if self._parent:
            self._parent.check()

    def _add(self, start: Callable[[], Running]) -> Running:
        """Start a process under the lock: `stop` then either sees it or prevents it."""
        with self._lock:
            self.check()
            running = self._parent._add(start) if self._parent else start()
            self._alive.add(running)
        return running

    def _remove(self, running: Running) -> None:
        with self._lock:
            self._alive.remove(running)
        if self._parent:
            self._parent._remove(running)

    def stop(self) -> None:
        """Send SIGTERM to every process, and SIGKILL after the grace time. No process starts afterwards."""
        with self._lock:
            self._stopping.set()
            alive = list(self._alive)
        for running in alive:
            running.signal(signal.SIGTERM)
        deadline = monotonic() + self.grace
        with suppress(KeyboardInterrupt):
            for running in alive:
                running.wait(max(deadline - monotonic(), 0))
        for running in alive:
            if running.wait(0) is None:
                running.signal(signal.SIGKILL)


@contextmanager
def _process_group() -> Iterator[int]:
    """A process group that is killed at the end of the block, or when this process ends."""
    with subprocess.Popen(_GROUP_LEADER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0) as leader:
        yield leader.pid


def _start(launch: Launch, log: int, group: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["bash", "-c", _WAIT_FOR_CHILD + launch.command],
        cwd=launch.folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(launch.variables),
        process_group=group,
        pass_fds=launch.descriptors,
    )


def node_variables(home: Path, *extra: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a node: this process's, with this interpreter's `bin` first on PATH, and `extra`.

    As on Azure ML, MLFLOW_TRACKING_URI is set: here to a sqlite file in `home`, unless this process has another.
    """
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{home.absolute().as_posix()}/mlflow.db", **os.environ}
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", "")])
    variables |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for more in extra:
        variables |= more
    return variables
