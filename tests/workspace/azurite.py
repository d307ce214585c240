"""Start Azurite, Microsoft's blob service emulator, on a free loopback port."""

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.workspace.certificate import write_certificate

HERE = Path(__file__).parent
PROGRAM = HERE / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT = "simulated"
HOST = f"{ACCOUNT}.blob.core.windows.net"
LISTENS = re.compile(r"listens on (https://[\d.:]+)")


@dataclass(frozen=True)
class Azurite:
    """A running Azurite: its URL ("https://127.0.0.1:port"), the account's key, and the certificate to trust."""

    url: str
    key: str
    certificate: Path

    @property
    def account_url(self) -> str:
        return f"{self.url}/{ACCOUNT}"


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """A running Azurite that keeps its data in `folder`. Raises FileNotFoundError where it isn't installed."""
    if not PROGRAM.exists():
        raise FileNotFoundError(f"Azurite is not installed: run `npm ci --ignore-scripts` in {HERE}")
    key = base64.b64encode(os.urandom(32)).decode()
    certificate, private = write_certificate(folder, HOST)
    process = _start(folder, certificate, private, key)
    try:
        yield Azurite(_address(process), key, certificate)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # on SIGTERM it waits for open connections of clients
        process.communicate()


def _start(folder: Path, certificate: Path, private: Path, key: str) -> "subprocess.Popen[str]":
    options = ["--blobPort", "0", "--oauth", "basic"]
    options += ["--cert", str(certificate), "--key", str(private)]
    quiet = ["--skipApiVersionCheck", "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    return subprocess.Popen(
        [PROGRAM, *options, *quiet],
        env={**os.environ, "PATH": _path(), "AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,  # `node` may be a script that starts the real one
    )


def _path() -> str:
    """Node.js may come with the virtual environment."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _address(process: "subprocess.Popen[str]") -> str:
    """Read its output up to the line with its URL."""
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        output.append(line)
        if match := LISTENS.search(line):
            return match.group(1)
    raise RuntimeError(f"Azurite ended with exit code {process.wait()} and printed {''.join(output)!r}")
