"""HTTP server of a simulated workspace on loopback: one thread per connection, one request at a time."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.workspace.routes import MANAGEMENT
from tests.workspace.simulated import SimulatedWorkspace
from tests.workspace.wire import Reply, Request


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two packets would delay each other
    workspace: SimulatedWorkspace
    lock: threading.Lock

    def log_message(self, *_: object) -> None:
        """Requests are in `SimulatedWorkspace.requests`."""

    def _answer(self) -> None:
        request = self._request()
        with self.lock:
            reply = self.workspace.answer(request)
        self._send(reply)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _request(self) -> Request:
        """A request to the loopback address itself is for the resource manager."""
        parts, host = urlsplit(self.path), self.headers["Host"]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return Request(
            method=self.command,
            host=self.workspace.cloud.own(MANAGEMENT) if host.startswith("127.0.0.1") else host,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=json.loads(body) if body else None,
        )

    def _send(self, reply: Reply) -> None:
        content = reply.encoded()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client with an open connection would block the end


@contextlib.contextmanager
def serving(workspace: SimulatedWorkspace) -> Iterator[str]:
    """Serve `workspace` until the block ends. Yields its address ("127.0.0.1:port")."""
    handler = type("Handler", (_Handler,), {"workspace": workspace, "lock": threading.Lock()})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
