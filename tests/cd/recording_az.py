"""An executable `az` for tests: it records each command, refuses undocumented options, and asks a handler.

The executable is a process of its own on the PATH, as the real one. It hands its arguments to the test's process over a
socket on loopback, so that a test can hold state, inject failures and let two commands meet.
"""

import contextlib
import itertools
import json
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cd.az_reference import problem_of

# `@-` is read from standard input, as azure-cli does. Without site-packages and the user's environment, which take
# longer to load than the rest.
EXECUTABLE = """\
#!{python} -IS
import json, os, socket, sys
arguments = [sys.stdin.read().rstrip() if argument == "@-" else argument for argument in sys.argv[1:]]
with socket.create_connection(("127.0.0.1", {port})) as connection:
    connection.sendall(json.dumps([{name!r}, os.getcwd(), *arguments]).encode() + b"\\n")
    code, out, err = json.loads(connection.makefile("rb").readline())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
USAGE_ERROR = 2
PATH_OPTIONS = ("--download-path", "--file")


@dataclass(frozen=True)
class Reply:
    """Output and exit code of a process."""

    code: int = 0
    out: str = ""
    err: str = ""


def answer(value: Any) -> Reply:
    """A successful reply with JSON."""
    return Reply(out=json.dumps(value) + "\n")


def failure(text: str, code: int = 1) -> Reply:
    return Reply(code, err=f"ERROR: {text}\n")


Handler = Callable[[Sequence[str]], Reply]


class RecordingAz:
    """Recorded commands, without `az` and the options of the output, and replies instead of those of `handler`."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.calls: list[tuple[str, ...]] = []
        self.azdistill_calls: list[tuple[str, ...]] = []
        self.azdistill_codes: list[int] = []
        # Runs `azdistill` instead of `azdistill_codes`.
        self.azdistill: Handler | None = None
        # Content of the file of --config and paths of the files in the folder of --run of each call of azdistill.
        self.configs: list[dict[str, str]] = []
        self.runs: list[set[str]] = []
        self.azdistill_seconds = 0.0
        self._injected: list[tuple[str, Reply]] = []
        self._lock = threading.Lock()

    def inject(self, command: str, reply: Reply, times: int = 1) -> None:
        """The next commands that start with `command` get this reply."""
        self._injected += [(command, reply)] * times

    def of(self, command: str) -> list[tuple[str, ...]]:
        """Recorded commands that start with `command`."""
        return [call for call in self.calls if " ".join(call).startswith(command)]

    def reply_to(self, program: str, folder: Path, arguments: Sequence[str]) -> Reply:
        """The reply to one process, which runs in `folder`."""
        if program == "azdistill":
            self.azdistill_calls.append(tuple(arguments))
            self._read_files(arguments)
            time.sleep(self.azdistill_seconds)
            if self.azdistill:
                return self.azdistill(arguments)
            return Reply(self.azdistill_codes.pop(0) if self.azdistill_codes else 0)
        with self._lock:
            self.calls.append(tuple(arguments[:-3] if arguments[-3:-1] == ["--output", "json"] else arguments))
            line = " ".join(arguments)
            injected = next((entry for entry in self._injected if line.startswith(entry[0])), None)
            if injected:
                self._injected.remove(injected)
        if problem := problem_of(arguments):
            return failure(problem, USAGE_ERROR)
        return injected[1] if injected else self.handler(_absolute(folder, arguments))

    def _read_files(self, arguments: Sequence[str]) -> None:
        """The files exist only as long as the process runs."""
        options = dict(itertools.pairwise(arguments))
        if config := options.get("--config"):
            self.configs.append(json.loads(Path(config).read_bytes()))
        if run := options.get("--run"):
            files = (path for path in Path(run).rglob("*") if path.is_file())
            self.runs.append({path.relative_to(run).as_posix() for path in files})


def _absolute(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The arguments with absolute paths, for a handler that runs in another folder."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [str(folder / argument) if before in PATH_OPTIONS else argument for before, argument in pairs]


class _Connection(socketserver.StreamRequestHandler):
    recording: RecordingAz

    def handle(self) -> None:
        program, folder, *arguments = json.loads(self.rfile.readline())
        try:
            reply = self.recording.reply_to(program, Path(folder), arguments)
        except Exception as error:  # the process would wait for ever
            reply = failure(f"the handler of the test failed: {type(error).__name__}: {error}")
        with contextlib.suppress(OSError):  # the process was ended by a signal
            self.wfile.write(json.dumps([reply.code, reply.out, reply.err]).encode() + b"\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False
    address_family = socket.AF_INET


@contextlib.contextmanager
def recording_az(folder: Path, handler: Handler) -> Iterator[RecordingAz]:
    """Executables `az` and `azdistill` in `folder`, for the PATH of the processes under test."""
    recording = RecordingAz(handler)
    connection = type("Connection", (_Connection,), {"recording": recording})
    with _Server(("127.0.0.1", 0), connection) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("az", "azdistill"):
            path = folder / name
            path.write_text(EXECUTABLE.format(python=sys.executable, port=server.server_address[1], name=name))
            path.chmod(0o755)
        yield recording
        server.shutdown()
