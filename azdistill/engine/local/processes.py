"""Processes of nodes, which end at the latest when the engine does. See `supervisor.py`."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from azdistill.engine.local.supervisor import ENDED, LENGTH, STARTED, read_exactly

# Seconds between SIGTERM and SIGKILL.
GRACE_S = 10.0

# Isolated from variables and packages of this interpreter.
_SUPERVISOR = (sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")))
# Seconds that it has to end the processes of its command.
_END_TIMEOUT_S = 10.0

# Read by bash before a command.
_PREPARATION = Path(__file__).with_name("command.bash")


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
    """A started command with its supervisor, which leads a process group with everything that it starts."""

    def __init__(self, channel: socket.socket, supervisor: int, grace: float) -> None:
        self._channel, self._supervisor, self._grace = channel, supervisor, grace
        self._code: int | None = None
        self._lock = threading.Lock()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code; None while it still runs after `timeout` seconds."""
        if self._code is None and not _is_readable(self._channel, timeout):
            return None
        with self._lock:
            if self._code is None:
                self._code = self._receive_code()
        return self._code

    def _receive_code(self) -> int:
        """The exit code. Kills the process group of a supervisor that was killed."""
        try:
            code: int = ENDED.unpack(read_exactly(self._channel, ENDED.size))[0]
        except ConnectionError:
            with suppress(ProcessLookupError, PermissionError):  # macOS denies it for a group that has ended
                os.killpg(self._supervisor, signal.SIGKILL)
            return -signal.SIGKILL
        return code

    def end(self) -> int:
        """Send SIGTERM, after the grace time SIGKILL, and return the exit code."""
        self.signal(signal.SIGTERM)
        if self.wait(self._grace) is None:
            self.kill()
        return self.end_rest()

    def signal(self, number: int) -> None:
        """Send a signal to the process group, if the command still runs."""
        with suppress(OSError):
            self._channel.send(bytes([number]))

    def kill(self) -> None:
        """Have all processes of the command killed, also those that left its group or session."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)

    def end_rest(self) -> int:
        """Kill the remaining processes, and return the exit code."""
        self.kill()
        code = self.wait(_END_TIMEOUT_S)
        self._channel.close()
        return -signal.SIGKILL if code is None else code


class Supervisors:
    """The process that forks a supervisor for each command of a run."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            null = subprocess.DEVNULL
            self._server = subprocess.Popen(list(_SUPERVISOR), stdin=theirs.fileno(), stdout=null, process_group=0)

    def start(self, launch: Launch, log: int, grace: float) -> Running:
        """Start a command that writes to the file descriptor `log`. Raises OSError when that fails."""
        channel, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._requests, [b"+"], [theirs.fileno(), log, *launch.descriptors])
            request = json.dumps(
                {
                    "command": ["bash", "-c", launch.command],
                    "folder": str(launch.folder),
                    "variables": _with_preparation(launch.variables),
                    "descriptors": launch.descriptors,
                }
            ).encode()
            channel.sendall(LENGTH.pack(len(request)) + request)
            supervisor, error = STARTED.unpack(read_exactly(channel, STARTED.size))
            if error:
                raise OSError(error, os.strerror(error))
        except BaseException:
            channel.close()
            raise
        return Running(channel, supervisor, grace)

    def close(self) -> None:
        """End the process. Its supervisors end with their commands."""
        self._requests.close()
        self._server.wait()


class Processes:
    """The running processes of a run, or of one attempt of a node (`parent` then is the run)."""

    def __init__(self, grace: float = GRACE_S, parent: "Processes | None" = None) -> None:
        self.grace, self._parent = grace, parent
        self._supervisors: Supervisors | None = None
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
        with launch.log.open("ab") as stream:
            running = self._add(launch, stream.fileno())
        try:
            yield running
        finally:
            self._remove(running)
            running.end_rest()
        self.check()

    def close(self) -> None:
        """Release what the processes of a run share, when the run has ended."""
        if self._supervisors:
            self._supervisors.close()

    def check(self) -> None:
        """Raises Stopped when these processes, or those of the parent, are being stopped."""
        if self._stopping.is_set():
            raise Stopped
        if self._parent:
            self._parent.check()

    def _add(self, launch: Launch, log: int) -> Running:
        """Start a process under the lock: `stop` then either sees it or prevents it."""
        with self._lock:
            self.check()
            running = self._parent._add(launch, log) if self._parent else self._start(launch, log)
            self._alive.add(running)
        return running

    def _start(self, launch: Launch, log: int) -> Running:
        self._supervisors = self._supervisors or Supervisors()
        return self._supervisors.start(launch, log, self.grace)

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
                running.kill()


def _with_preparation(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that make bash read `command.bash`, and then the file that BASH_ENV names already."""
    added = {"BASH_ENV": str(_PREPARATION)}
    if before := variables.get("BASH_ENV"):
        added["AZDISTILL_BASH_ENV"] = before
    return {**variables, **added}


def _is_readable(channel: socket.socket, timeout: float | None) -> bool:
    """True if the channel has a message or has ended within `timeout` seconds. select() is limited to 1,024 files."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))
