"""Azure on loopback: tokens of an identity (IDENTITY_ENDPOINT, OBO_ENDPOINT) and connections of a workspace."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = (
    "/subscriptions/sub/resourceGroups/group/providers/Microsoft.MachineLearningServices/workspaces/space/connections/"
)
WORKSPACE = {
    "AZUREML_ARM_SUBSCRIPTION": "sub",
    "AZUREML_ARM_RESOURCEGROUP": "group",
    "AZUREML_ARM_WORKSPACE_NAME": "space",
}


def jwt(audience: str, expires_on: int) -> str:
    """An unsigned token: the simulated endpoints check no signature."""
    payload = base64.urlsafe_b64encode(json.dumps({"aud": audience, "exp": expires_on}).encode()).decode().rstrip("=")
    return f"e30.{payload}.canary-signature"


class SimulatedAzure:
    """Issues tokens that live `life_s`, and returns connections to clients with a token.

    `requests` lists method and path of each request. `responses` replace those to the next requests for connections:
    status, headers and JSON body.
    """

    def __init__(self) -> None:
        self.url = ""
        self.life_s = 3600
        self.connections: dict[str, dict[str, Any]] = {}
        self.role_is_missing = False
        self.requests: list[tuple[str, str]] = []
        self.responses: list[tuple[int, dict[str, str], Any]] = []

    def managed_identity(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"{self.url}/identity", "IDENTITY_HEADER": "canary-identity-header"}

    def on_behalf_of(self) -> dict[str, str]:
        return {"OBO_ENDPOINT": f"{self.url}/obo"}

    def identity(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        expires_on = int(time.time()) + self.life_s
        token = {"access_token": jwt(query["resource"][0], expires_on), "expires_on": str(expires_on)}
        return 200, {**token, "resource": query["resource"][0], "token_type": "Bearer"}

    def secrets(self, path: str, query: dict[str, list[str]], authorization: str) -> tuple[int, dict[str, str], Any]:
        name, _, verb = path.removeprefix(ROOT).partition("/")
        if verb != "listsecrets" or query.get("api-version") != ["2024-10-01"]:
            return 405, {}, {}
        if not authorization.startswith("Bearer e30."):
            return 401, {}, {}
        if self.responses:
            status, headers, body = self.responses.pop(0)
            return status, headers, json.loads(json.dumps(body).replace("{authorization}", authorization))
        if self.role_is_missing:
            return 403, {}, {"error": {"code": "AuthorizationFailed"}}
        return (200, {}, {"properties": self.connections[name]}) if name in self.connections else (404, {}, {})


@contextlib.contextmanager
def simulated_azure() -> Iterator[SimulatedAzure]:
    azure = SimulatedAzure()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = azure.identity(self._query())
            self._reply(status, {}, content)

        def do_POST(self) -> None:
            path = urlsplit(self.path).path
            self._reply(*azure.secrets(path, self._query(), self.headers.get("Authorization", "")))

        def _query(self) -> dict[str, list[str]]:
            azure.requests.append((self.command, self.path))
            return parse_qs(urlsplit(self.path).query)

        def _reply(self, status: int, headers: dict[str, str], content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        azure.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield azure
        finally:
            server.shutdown()
            thread.join()
