"""A node's command as a process, which ends when the engine does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE_S = 10.0
"""Time between asking a node to end and ending it."""

_LEASH = ("sh", "-c", "trap '' TERM INT HUP; read _; kill -KILL 0")
"""Leads a node's process group and reads a pipe that the engine holds. The pipe ends with the node, or
with the engine however that dies, and then what is left of the group is killed: nothing stays behind."""

_WAIT_FOR_CHILD = "trap 'exit 143' TERM\n"
"""Asked to end, the shell first lets the program in it finish what it saves; without it only the shell ends."""


class Processes:
    """The processes of a run that are alive, each in a group of its own."""

    def __init__(self, grace: float = GRACE_S) -> None:
        self.grace = grace
        self._alive: dict[subprocess.Popen[bytes], int] = {}
        self._lock = threading.Lock()
        self._stopping = False

    def run(self, command: str, folder: Path, log: Path, variables: Mapping[str, str]) -> int | None:
        """Run a shell command in `folder`, its output in `log`. Returns the exit code, None when it was stopped.

        Raises OSError when it can't be started.
        """
        with log.open("ab") as stream, _group() as group:
            with self._lock:
                if self._stopping:
                    return None
                process = _start(command, folder, stream.fileno(), variables, group)
                self._alive[process] = group
            code = process.wait()
            with self._lock:
                del self._alive[process]
        return None if self._stopping else code

    def stop(self) -> None:
        """Ask every process to end, and end it after the grace time. No other starts after that."""
        with self._lock:
            self._stopping = True
            alive = dict(self._alive)
        _signal(alive, signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            for process in alive:
                process.wait(max(deadline - time.monotonic(), 0))
        _signal({process: group for process, group in alive.items() if process.poll() is None}, signal.SIGKILL)


@contextmanager
def _group() -> Iterator[int]:
    """A process group on a leash, empty at the end."""
    with subprocess.Popen(_LEASH, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0) as leash:
        yield leash.pid


def _start(command: str, folder: Path, log: int, variables: Mapping[str, str], group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", "-c", _WAIT_FOR_CHILD + command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(variables),
        process_group=group,
    )


def _signal(alive: Mapping[subprocess.Popen[bytes], int], number: int) -> None:
    for group in alive.values():
        with suppress(ProcessLookupError):
            os.killpg(group, number)


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
