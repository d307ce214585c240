"""Log of the requests that the simulated workspace received, for tests to look at."""

from dataclasses import dataclass

from tests.workspace.wire import Request


@dataclass(frozen=True)
class LoggedRequest:
    """A request and the status of its reply. `route` is the route that answered it, None where there was none."""

    request: Request
    status: int
    route: str | None

    def __str__(self) -> str:
        version = f" (api-version {self.request.api_version})" if self.request.api_version else ""
        return f"{self.request.method} {self.request.url}{version} -> {self.status}"


class RequestLog:
    """All requests in order."""

    def __init__(self) -> None:
        self.all: list[LoggedRequest] = []

    def unknown(self) -> list[str]:
        """Requests without a route: a path, method or api-version that was never recorded from the real client."""
        return [str(logged) for logged in self.all if logged.route is None]

    def of(self, method: str, path: str = "") -> list[LoggedRequest]:
        """The requests with this method whose path contains `path`."""
        return [logged for logged in self.all if logged.request.method == method and path in logged.request.path]
