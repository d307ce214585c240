"""What the client asked for, in order: the stand-in's memory, and what a test looks at."""

from dataclasses import dataclass

from tests.workspace.wire import Request


@dataclass(frozen=True)
class Seen:
    """A request with the status it got. `kind` is the route it took, None where there was none."""

    request: Request
    status: int
    kind: str | None

    def __str__(self) -> str:
        version = f" (api-version {self.request.api_version})" if self.request.api_version else ""
        return f"{self.request.method} {self.request.url}{version} -> {self.status}"


class Ledger:
    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def unknown(self) -> list[str]:
        """Requests that no route answers: a path, method or api-version nobody has measured."""
        return [str(seen) for seen in self.seen if seen.kind is None]

    def of(self, method: str, path: str = "") -> list[Seen]:
        """The requests of `method` whose path holds `path`."""
        return [seen for seen in self.seen if seen.request.method == method and path in seen.request.path]
