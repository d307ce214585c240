"""Mounts of containers in Azurite by Azure ML's own data runtime (package azureml-dataprep-rslex), as a job has them.

The runtime mounts `https://ACCOUNT.blob.core.windows.net` only, with tokens of the job's managed identity. So it runs
in a private mount namespace and a private network namespace, in which that name is loopback and port 443 is Azurite's.
Processes of the job join the mount namespace only. This needs root, /dev/fuse and `unshare`.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from tests.workspace.azurite import HOST, Azurite
from tests.workspace.job_process import CLIENT
from tests.workspace.resources.identity import MANAGED, SECRET

ROOT = Path(__file__).parents[2]
START_S = 30.0
CLONE_NEWNET = 0x40000000  # <sched.h>
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1  # <linux/sockios.h>, <net/if.h>

# Arguments: URI, mount point, "r" or "w", folder of the runtime's log, folder of its cache, client id.
# The options are those of an input or output of a job: other users may read, all permissions, the folder is created.
RUNTIME = """
import sys
from azureml.dataprep.rslex import PyMountOptions, RslexURIMountContext, init_environment
uri, path, mode, log, cache, client = sys.argv[1:]
credential = {"type": "AzureMLCredential", "client_id": client}
init_environment(log, None, "INFO", False, None, None, None, credential=credential)
options = PyMountOptions(None, cache, None, True, mode == "r", 0o777, mode == "w")
RslexURIMountContext(path, uri, options, True).start(True)
"""


class Mount:
    """A folder of a container, at `path` for the processes of its node."""

    def __init__(self, path: Path, process: "subprocess.Popen[bytes]") -> None:
        self.path, self._process = path, process

    def kill(self) -> None:
        """Kill the runtime, as when its node is lost: what it has not uploaded is lost."""
        self._process.kill()
        self._process.wait()


class Node:
    """A compute node. Several mounts of one folder are independent, as if they were on several nodes: each has its own
    runtime and cache."""

    def __init__(self, pid: int, folder: Path, environ: Mapping[str, str]) -> None:
        self._pid, self._folder, self._environ = pid, folder, environ
        self._mounts: list[Mount] = []

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that runs a program where the mounts can be seen."""
        return ["nsenter", "--mount", "--target", str(self._pid), *map(str, arguments)]

    def mount(self, container: str, path: str, *, read_only: bool = False) -> Mount:
        """Mount a folder of a container. A new path of this machine each time."""
        folder = self._folder / f"mount-{len(self._mounts)}"
        target, cache, log = folder / "folder", folder / "cache", folder / "log"
        for created in (target, cache, log):
            created.mkdir(parents=True)
        uri = f"wasbs://{container}@{HOST}/{path}"
        arguments = (uri, target, "r" if read_only else "w", log, cache, CLIENT)
        process = subprocess.Popen(
            [
                *self.command(f"--net=/proc/{self._pid}/ns/net", sys.executable, "-c", RUNTIME),
                *map(str, arguments),
            ],
            env=self._environ,
            stdout=subprocess.DEVNULL,
        )
        mount = Mount(target, process)
        self._mounts.append(mount)
        self._wait(target, process)
        return mount

    def _wait(self, target: Path, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + START_S
        while f" {target} fuse" not in Path(f"/proc/{self._pid}/mounts").read_text():
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                logs = "".join(path.read_text() for path in target.parent.glob("log/*"))
                raise RuntimeError(f"the mount of {target} did not start, and the runtime's log says:\n{logs[-3000:]}")
            time.sleep(0.05)

    def close(self) -> None:
        for mount in self._mounts:
            mount.kill()


@contextlib.contextmanager
def node(storage: Azurite, identity: str, folder: Path) -> Iterator[Node]:
    """A compute node with the storage account. `identity` ("127.0.0.1:port") is where the simulated workspace issues
    tokens."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {HOST}\n")
    environ = {
        **os.environ,
        "SSL_CERT_FILE": str(storage.certificate),
        "MSI_ENDPOINT": f"http://{identity}{MANAGED}",
        "MSI_SECRET": SECRET,
        "DEFAULT_IDENTITY_CLIENT_ID": CLIENT,
    }
    ports = {443: _port(storage.url), _port(f"//{identity}"): _port(f"//{identity}")}
    with _namespaces(hosts) as pid, _relayed(pid, ports):
        running = Node(pid, folder, environ)
        try:
            yield running
        finally:
            running.close()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


@contextlib.contextmanager
def _namespaces(hosts: Path) -> Iterator[int]:
    """Process id of a process in new namespaces, with /etc/hosts replaced. It ends when its standard input is closed,
    so it ends with this process too."""
    script = 'mount --bind "$0" /etc/hosts && echo ready && exec cat'
    command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script, hosts]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.communicate()


@contextlib.contextmanager
def _relayed(pid: int, ports: Mapping[int, int]) -> Iterator[None]:
    """Relay ports of the network namespace of a process to loopback ports of this one."""
    loop = asyncio.new_event_loop()
    servers = [
        loop.run_until_complete(asyncio.start_server(_Relay(port).handle, sock=listener))
        for listener, port in zip(_listen(pid, list(ports)), ports.values(), strict=True)
    ]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end(servers), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _listen(pid: int, ports: Sequence[int]) -> list[socket.socket]:
    """Listening sockets in the network namespace of a process. Only a separate thread enters it."""

    def enter_and_listen() -> list[socket.socket]:
        with open(f"/proc/{pid}/ns/net", "rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
        return [socket.create_server(("127.0.0.1", port)) for port in ports]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter_and_listen).result()


class _Relay:
    def __init__(self, port: int) -> None:
        self._port = port

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(_copy(reader, target_writer), _copy(target_reader, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
    target.close()


async def _end(servers: Sequence[asyncio.Server]) -> None:
    """Wait until the connections are closed, as those of a process that was killed are."""
    for server in servers:
        server.close()
    connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if connections:
        await asyncio.wait(connections, timeout=5)
