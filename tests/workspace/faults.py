"""Inject throttling and outages into the simulated workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.workspace.wire import ArmError, Request

CODES = {403: "AuthorizationFailed", 429: "TooManyRequests", 500: "InternalServerError", 503: "ServiceUnavailable"}


@dataclass
class Fault:
    """The next `times` requests with this method whose path contains `path` get `status`."""

    method: str
    path: str
    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)

    def applies_to(self, request: Request) -> bool:
        return self.times > 0 and request.method == self.method and self.path in request.path


class Faults:
    def __init__(self) -> None:
        self.injected: list[Fault] = []

    def inject(self, method: str, path: str, status: int, times: int = 1, **headers: str) -> None:
        """Names of headers have underscores: `retry_after="1"`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.injected.append(Fault(method, path, status, times, named))

    def raise_for(self, request: Request) -> None:
        """Raises ArmError where a fault was injected for this request."""
        if fault := next((fault for fault in self.injected if fault.applies_to(request)), None):
            fault.times -= 1
            code = CODES.get(fault.status, "Injected")
            raise ArmError(fault.status, code, "This failure was injected by the test.", fault.headers)
