"""Transport of azure-core that redirects the requests of an MLClient to loopback."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from azure.core.pipeline.transport import RequestsTransport


class LoopbackTransport(RequestsTransport):
    """Send every request to `address` ("127.0.0.1:port"), unless it is for loopback already. The Host header stays.

    The client's policies and its polling see the original URLs.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def send(self, request: Any, **options: Any) -> Any:
        url = urlsplit(request.url)
        if url.hostname == "127.0.0.1":
            return super().send(request, **options)
        original = request.url
        request.headers["Host"] = url.netloc
        request.url = urlunsplit(("http", self.address, *url[2:]))
        try:
            return super().send(request, **options)
        finally:
            request.url = original
