"""An HTTP proxy on loopback that refuses connections."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def refusing_proxy(status: int, password: str, upstream: str = "", accepted: int = 0) -> Iterator[str]:
    """URL of a proxy, with a user and this password, as in HTTPS_PROXY.

    It connects the first `accepted` clients to `upstream` ("127.0.0.1:port") and refuses the others with `status`.
    """
    connections: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            connections.append(self.path)
            if len(connections) > accepted:
                # Some proxies repeat the credentials, here in the reason phrase.
                self.send_response(status, f"not with {password}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            host, _, port = upstream.partition(":")
            with socket.create_connection((host, int(port))) as target:
                threading.Thread(target=_copy, args=(target, self.connection), daemon=True).start()
                _copy(self.connection, target)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://me:{password}@127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
