"""An HTTPS proxy that leads hosts of the world to loopback, for a process that takes no transport.

The process is told by HTTPS_PROXY and SSL_CERT_FILE alone, and speaks TLS with the host's own name.
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
def tunnel(folder: Path, hosts: Mapping[str, str], password: str = "") -> Iterator[dict[str, str]]:
    """Variables of a process for which each of `hosts` is at an address ("127.0.0.1:port"), until the block ends."""
    certificate, private = write_certificate(folder, *hosts)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_Door(context, hosts).enter, "127.0.0.1", 0))
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
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class _Door:
    def __init__(self, context: ssl.SSLContext, hosts: Mapping[str, str]) -> None:
        self._context, self._hosts = context, hosts

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """CONNECT host:port, then TLS, then whatever is said, both ways."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        host = urlsplit("//" + head.split()[1]).hostname
        if host not in self._hosts:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(self._context)
        onward = urlsplit("//" + self._hosts[host])
        answers, questions = await asyncio.open_connection(onward.hostname, onward.port)
        await asyncio.gather(_carry(reader, questions), _carry(answers, writer))


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while part := await source.read(2**16):
            target.write(part)
            await target.drain()
    target.close()
