"""A node's commands as processes, which end when the engine does."""

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

GRACE_S = 10.0
"""Time between asking a process to end and ending it."""

_LEASH = ("sh", "-c", "trap '' TERM INT HUP; read _; kill -KILL 0")
"""Leads a process group and reads a pipe that the engine holds. The pipe ends with the command, or
with the engine however that dies, and then what is left of the group is killed: nothing stays behind."""

_WAIT_FOR_CHILD = "trap 'exit 143' TERM\n"
"""Asked to end, the shell first lets the program in it finish what it saves; without it only the shell ends."""


class Stopped(Exception):
    """The run, or this try of a node, is being ended: no process starts any more, and those that ran were asked to
    end."""


@dataclass(frozen=True)
class Launch:
    """What to start: a shell command, the folder that it runs in, where its output goes, all of its variables, and
    the file descriptors of this process that it keeps."""

    command: str
    folder: Path
    log: Path
    variables: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


class Running:
    """A command that was started, with the process group that all it starts belongs to."""

    def __init__(self, process: "subprocess.Popen[bytes]", group: int, grace: float) -> None:
        self._process, self._group, self._grace = process, group, grace

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None while it still runs after `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> int:
        """Ask it to end, end it after the grace time, and return its exit code."""
        self.signal(signal.SIGTERM)
        if self.wait(self._grace) is None:
            self.signal(signal.SIGKILL)
        return self._process.wait()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._group, number)


class Processes:
    """Processes that are alive, each in a group of its own: those of a run, or of one try of a node in it."""

    def __init__(self, grace: float = GRACE_S, around: "Processes | None" = None) -> None:
        self.grace, self._around = grace, around
        self._alive: set[Running] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def branch(self) -> "Processes":
        """Some of these, which can be stopped without the others."""
        return Processes(self.grace, self)

    @contextmanager
    def start(self, launch: Launch) -> Iterator[Running]:
        """Start a command; what is left of it at the end of the block is killed.

        Raises Stopped, at the end of the block too, when the run is being ended, and OSError when the command can't
        be started.
        """
        self.check()
        with launch.log.open("ab") as stream, _group() as group:
            running = self._add(lambda: Running(_start(launch, stream.fileno(), group), group, self.grace))
            try:
                yield running
            finally:
                self._remove(running)
                running.signal(signal.SIGKILL)
                running.wait()
        self.check()

    def check(self) -> None:
        """Raises Stopped when they, or those that they are a part of, are being ended."""
        if self._stopping.is_set():
            raise Stopped
        if self._around:
            self._around.check()

    def _add(self, start: Callable[[], Running]) -> Running:
        """Start one unless they are being ended: one that is there when `stop` looks is ended, a later one is not
        started."""
        with self._lock:
            self.check()
            running = self._around._add(start) if self._around else start()
            self._alive.add(running)
        return running

    def _remove(self, running: Running) -> None:
        with self._lock:
            self._alive.remove(running)
        if self._around:
            self._around._remove(running)

    def stop(self) -> None:
        """Ask every process to end, and end it after the grace time. No other starts after that."""
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
def _group() -> Iterator[int]:
    """A process group on a leash, empty at the end."""
    with subprocess.Popen(_LEASH, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0) as leash:
        yield leash.pid


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


def variables(home: Path, *extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a node: this interpreter's `bin` first on PATH, then what the pipeline adds.

    As on Azure ML, MLFLOW_TRACKING_URI names the registry: here a sqlite file in `home`.
    """
    found = {"MLFLOW_TRACKING_URI": f"sqlite:///{home.absolute().as_posix()}/mlflow.db", **os.environ}
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", "")])
    found |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for part in extra:
        found |= part
    return found
