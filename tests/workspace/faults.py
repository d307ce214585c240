"""Throttling and outages to order."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.workspace.wire import ArmError, Request

CODES = {403: "AuthorizationFailed", 429: "TooManyRequests", 500: "InternalServerError", 503: "ServiceUnavailable"}


@dataclass
class Fault:
    """The next `times` requests of `method` whose path holds `path` get `status` instead of an answer."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)

    def hits(self, request: Request) -> bool:
        return self.times > 0 and request.method == self.method and self.path in request.path


class Faults:
    def __init__(self) -> None:
        self.ordered: list[Fault] = []

    def order(self, method: str, path: str, status: int, times: int = 1, **headers: str) -> None:
        """Headers are given with underscores: `retry_after="1"`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.ordered.append(Fault(method, path, status, times, named))

    def strike(self, request: Request) -> None:
        """Raises ArmError where a fault was ordered for this request."""
        if fault := next((fault for fault in self.ordered if fault.hits(request)), None):
            fault.times -= 1
            code = CODES.get(fault.status, "Ordered")
            raise ArmError(fault.status, code, "This failure was ordered by the test.", fault.headers)
