"""MLflow's server for one database: `python -P mlflow_script.py LISTENER DATABASE ARTIFACTS`.

LISTENER is the file descriptor of a socket that listens already, on which requests may be waiting. A request needs the
token of $AZDISTILL_TRACKING_TOKEN.
"""

import hmac
import os
import socket
import sys
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread."""

    daemon_threads = True

    def __init__(self, listener: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=listener)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()


class Handler(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class WithToken:
    """A WSGI application that refuses requests without a token."""

    def __init__(self, application: Any, token: str) -> None:
        self._application, self._expected = application, f"Bearer {token}".encode()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode(), self._expected):
            return self._application(environ, start_response)
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b"the token is missing or wrong\n"]


def serve(listener: int, database: str, artifacts: str) -> None:
    # Also makes MLflow refuse requests of web pages. Source: mlflow.server.
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = database
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = artifacts
    from mlflow.server import app

    server = Server(listener)
    server.set_app(WithToken(app, os.environ["AZDISTILL_TRACKING_TOKEN"]))
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
