"""A service that issues OIDC tokens as GitHub Actions and Azure Pipelines do, on loopback."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class OidcServer:
    """`requests` are method, path and the Authorization header of each request."""

    address: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """Variables of a job in GitHub Actions with `id-token: write`."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.address}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-token",
            **LOGIN,
        }

    @property
    def pipelines_variables(self) -> dict[str, str]:
        """Variables of a task AzureCLI@2 in Azure Pipelines."""
        return {
            "SYSTEM_OIDCREQUESTURI": f"{self.address}/oidc",
            "SYSTEM_ACCESSTOKEN": "job-token",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
            **LOGIN,
        }


LOGIN = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_SUBSCRIPTION_ID": "subscription"}


class _Handler(BaseHTTPRequestHandler):
    oidc: OidcServer

    def log_message(self, *_: object) -> None:
        """Requests are in `OidcServer.requests`."""

    def _issue(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.oidc.requests.append((self.command, self.path, self.headers.get("Authorization", "")))
        token = f"oidc-token-{len(self.oidc.requests)}"
        content = json.dumps({"value" if self.command == "GET" else "oidcToken": token}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _issue  # noqa: N815


@contextlib.contextmanager
def oidc_server() -> Iterator[OidcServer]:
    oidc = OidcServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"oidc": oidc})) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        oidc.address = f"http://127.0.0.1:{server.server_address[1]}"
        yield oidc
        server.shutdown()
