"""The seam: MLClient speaks to https://management.azure.com as ever, and the request goes to loopback."""

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from azure.core.pipeline.transport import RequestsTransport


class LoopbackTransport(RequestsTransport):
    """Sends every request that isn't for loopback to `address` ("127.0.0.1:port"), with its Host header kept.

    The client sees its own URLs: its policies run on them, and so does its polling.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def send(self, request: Any, **options: Any) -> Any:
        asked = urlsplit(request.url)
        if asked.hostname == "127.0.0.1":
            return super().send(request, **options)
        original = request.url
        request.headers["Host"] = asked.netloc
        request.url = urlunsplit(("http", self.address, *asked[2:]))
        try:
            return super().send(request, **options)
        finally:
            request.url = original
