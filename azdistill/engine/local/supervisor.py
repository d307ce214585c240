"""Start the commands of nodes, and end every process that they leave: `python -I -S supervisor.py`.

One such process serves a run. It forks a supervisor for each command, so no command waits for the start of an
interpreter. A supervisor ends its command when the engine closes the channel between them, which also happens when the
engine is killed.

On Linux a supervisor adopts the processes that leave their parent or session, by setsid or a double fork. It kills its
own children only, until it has none, so nothing else on the machine can be hit. Other systems have no such adoption:
there the process group is killed.

Channel, from the engine: a length and a JSON object (`command`, `folder`, `variables`, `descriptors`), then the numbers
of signals for the command. To the engine: process id and error number of the start, then the exit code.
"""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

Request = dict[str, Any]

PR_SET_CHILD_SUBREAPER = 36  # of <linux/prctl.h>


def signals(*names: str) -> tuple[signal.Signals, ...]:
    """The signals of this system with these names. Windows, where nothing runs, can import this module."""
    return tuple(signal.Signals[name] for name in names if name in signal.Signals.__members__)


# Signals that end a run; a terminal sends SIGHUP when it closes. A supervisor ignores them: they are for its command.
ENDING = signals("SIGTERM", "SIGINT", "SIGHUP")
# Signals that the command must not find ignored: those above, and what Python ignores.
DEFAULTS = (*ENDING, *signals("SIGCHLD", "SIGPIPE", "SIGXFSZ"))

# The channel, the log, and what the command inherits.
MAX_DESCRIPTORS = 16
LENGTH, STARTED, ENDED = struct.Struct("!I"), struct.Struct("!ii"), struct.Struct("!i")

# A process that waits for a device cannot be killed before that ends.
LONGEST_END_S = 5.0
POLL_INTERVAL_S = 0.002


def serve(requests: socket.socket) -> None:
    """Fork a supervisor for each request, until the engine has ended or closed its end."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors that end are not collected
    adopt_orphans = prctl_caller()
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, MAX_DESCRIPTORS)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            os.setpgid(0, 0)
            adopt_orphans()
            supervise(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def prctl_caller() -> Callable[[], object]:
    """A function that makes this process the parent of descendants whose parent ends. See prctl(2)."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def supervise(channel_descriptor: int, log: int, *inherited: int) -> None:
    """Run a command to its end, kill the processes that it has left, and exit."""
    for descriptor in (channel_descriptor, log, *inherited):
        os.set_inheritable(descriptor, False)
    os.dup2(log, sys.stderr.fileno())
    channel, child_ended = socket.socket(fileno=channel_descriptor), wake_on_child()
    try:
        child = start(read_request(channel), log, inherited)
    except OSError as error:
        channel.sendall(STARTED.pack(os.getpid(), error.errno or 1))
        os._exit(1)
    channel.sendall(STARTED.pack(os.getpid(), 0))
    for descriptor in (log, *inherited):  # their readers wait for the end of the command
        os.close(descriptor)
    while (status := reap(child)) is None:
        readable: list[socket.socket | int] = [channel, child_ended]
        ready, _, _ = select.select(readable, [], [])
        if channel in ready:
            numbers = channel.recv(1024)
            if not numbers:
                break
            for number in numbers:
                os.killpg(0, number)
        elif child_ended in ready:
            os.read(child_ended, 1024)
    end_children()
    with contextlib.suppress(OSError):  # the engine has ended
        channel.sendall(ENDED.pack(-signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)))
    os.killpg(0, signal.SIGKILL)


def wake_on_child() -> int:
    """A file descriptor that becomes readable when a child has ended."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def read_request(channel: socket.socket) -> Request:
    (length,) = LENGTH.unpack(read_exactly(channel, LENGTH.size))
    request: Request = json.loads(read_exactly(channel, length))
    return request


def read_exactly(channel: socket.socket, size: int) -> bytes:
    """Raises ConnectionError at the end of the channel."""
    received = b""
    while len(received) < size:
        more = channel.recv(size - len(received))
        if not more:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        received += more
    return received


def start(request: Request, log: int, inherited: tuple[int, ...]) -> int:
    """Start a command without standard input. It finds inherited files under the numbers that they have in the engine.

    Raises OSError.
    """
    os.chdir(request["folder"])
    actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, *pair) for pair in zip(inherited, request["descriptors"], strict=True)]
    command = request["command"]
    return os.posix_spawnp(command[0], command, request["variables"], file_actions=actions, setsigdef=DEFAULTS)


def reap(child: int) -> int | None:
    """Collect the children that have ended. Returns the status of `child` when it is among them."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        status = ended if pid == child else status


def end_children() -> None:
    """Kill the children, and theirs, which become children of this process then."""
    deadline = time.monotonic() + LONGEST_END_S
    while sys.platform == "linux" and time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_INTERVAL_S)


def children() -> list[int]:
    """Processes whose parent is this one. They keep their number until this process collects them."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(name) == os.getpid()]


def parent_of(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[1])
    except OSError:  # it has ended
        return None


if __name__ == "__main__":
    serve(socket.socket(fileno=sys.stdin.fileno()))
