"""HTTPS proxy that redirects hosts to loopback, for a process that accepts no transport.

The process gets the variables HTTPS_PROXY and SSL_CERT_FILE, and uses TLS with the host's own name.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.workspace.certificate import write_certificate


@contextlib.contextmanager
def redirecting_proxy(folder: Path, hosts: Mapping[str, str], password: str = "") -> Iterator[dict[str, str]]:
    """Redirect each of `hosts` to an address: "127.0.0.1:port", or "https://127.0.0.1:port" of a server with TLS.

    Yields the variables for the process.
    """
    certificate, private = write_certificate(folder, *hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_Proxy(context, hosts).handle, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        proxy = f"http://{f'me:{password}@' if password else ''}{address}"
        yield {"HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(certificate)}
    finally:
        asyncio.run_coroutine_threadsafe(_close(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)


class _Proxy:
    def __init__(self, context: ssl.SSLContext, hosts: Mapping[str, str]) -> None:
        self._context, self._hosts = context, hosts

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer CONNECT host:port, start TLS, and copy bytes in both directions."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        host = urlsplit("//" + head.split()[1]).hostname
        if host not in self._hosts:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(self._context)
        address = self._hosts[host]
        target = urlsplit(address if "://" in address else f"//{address}")
        tls = ssl._create_unverified_context() if target.scheme == "https" else None  # on loopback
        target_reader, target_writer = await asyncio.open_connection(target.hostname, target.port, ssl=tls)
        try:
            await asyncio.gather(_copy(reader, target_writer), _copy(target_reader, writer))
        finally:
            await asyncio.gather(_end(writer), _end(target_writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
    target.close()


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection, which sends what is left, but do not wait for the TLS shutdown of a peer that is silent."""
    writer.close()
    with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
        await asyncio.wait_for(writer.wait_closed(), 0.2)
    writer.transport.abort()
